from .base_referring_dataset import BaseReferringDataset
from .grefcoco import GRefCOCODataset
from .json_lines import JSONLinesDataset
from .refclef import RefCLEFDataset
from .refcoco import RefCOCODataset
from .refer_lmdb import ReferringLMDBDataset
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
    'BaseReferringDataset', 'FlipReferring', 'GRefCOCODataset', 'JSONLinesDataset', 'Letterbox',
    'LoadReferringImage', 'LoadReferringMask', 'PackRefSegInputs', 'RefCLEFDataset', 'RefCOCODataset',
    'ReferringLMDBDataset', 'ReferringMixture', 'SampleSentence', 'SeededInfiniteSampler', 'SeededSampler',
    'ShuffledExpressions', 'Stretch', 'letterbox_matrix'
]
