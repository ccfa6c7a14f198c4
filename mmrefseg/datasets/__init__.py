from .base_referring_dataset import BaseReferringDataset
from .refcoco import RefCOCODataset
from .referring_mixture import ReferringMixture
from .shuffled_expressions import ShuffledExpressions
from .transforms import (
    FlipReferring,
    Letterbox,
    LoadReferringImage,
    LoadReferringMask,
    PackRefSegInputs,
    SampleSentence,
    Stretch,
    letterbox_matrix,
)

__all__ = [
    'BaseReferringDataset', 'FlipReferring', 'Letterbox', 'LoadReferringImage', 'LoadReferringMask',
    'PackRefSegInputs', 'RefCOCODataset', 'ReferringMixture', 'SampleSentence', 'ShuffledExpressions', 'Stretch',
    'letterbox_matrix'
]
