from .base_referring_dataset import BaseReferringDataset
from .grefcoco import GRefCOCODataset
from .refclef import RefCLEFDataset
from .refcoco import RefCOCODataset
from .referring_mixture import ReferringMixture
from .samplers import SeededInfiniteSampler, SeededSampler
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
    'BaseReferringDataset', 'FlipReferring', 'GRefCOCODataset', 'Letterbox', 'LoadReferringImage', 'LoadReferringMask',
    'PackRefSegInputs', 'RefCLEFDataset', 'RefCOCODataset', 'ReferringMixture', 'SampleSentence', 'SeededInfiniteSampler', 'SeededSampler', 'ShuffledExpressions',
    'Stretch', 'letterbox_matrix'
]
