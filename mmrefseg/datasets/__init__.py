from .base_referring_dataset import BaseReferringDataset
from .coco_prompts import CocoPromptDataset
from .grefcoco import GRefCOCODataset
from .json_lines import JSONLinesDataset
from .phrasecut import PhraseCutDataset
from .refclef import RefCLEFDataset
from .refcoco import RefCOCODataset
from .refer_lmdb import ReferringLMDBDataset
from .referring_mixture import ReferringMixture
from .samplers import ImageGroupsInfiniteSampler, SameImageSampler, SeededInfiniteSampler, SeededSampler
from .shuffled_expressions import ShuffledExpressions
from .transforms import (
    Albumentations,
    ConcatSentences,
    DropExpression,
    FastLetterbox,
    FlipReferring,
    Letterbox,
    LoadReferringImage,
    LoadReferringMask,
    PackRefSegInputs,
    RandomErasing,
    RandomLetterbox,
    RandomReferentCrop,
    SampleSentence,
    Stretch,
)
from .voc_prompts import VOCPromptDataset

__all__ = [
    'Albumentations', 'BaseReferringDataset', 'CocoPromptDataset', 'ConcatSentences', 'DropExpression',
    'FastLetterbox', 'FlipReferring', 'GRefCOCODataset', 'ImageGroupsInfiniteSampler', 'JSONLinesDataset', 'Letterbox',
    'LoadReferringImage', 'LoadReferringMask', 'PackRefSegInputs', 'PhraseCutDataset', 'RandomErasing',
    'RandomLetterbox', 'RandomReferentCrop', 'RefCLEFDataset', 'RefCOCODataset', 'ReferringLMDBDataset',
    'ReferringMixture', 'SameImageSampler', 'SampleSentence', 'SeededInfiniteSampler', 'SeededSampler',
    'ShuffledExpressions', 'Stretch', 'VOCPromptDataset',
]
