from typing import TYPE_CHECKING

from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = [
    'AbsentExpressions', 'Albumentations', 'BaseReferringDataset', 'ChangedExpressions', 'CocoPromptDataset',
    'ConcatSentences', 'DropExpression', 'FastLetterbox', 'FlipReferring', 'GRefCOCODataset',
    'ImageGroupsInfiniteSampler', 'ImageGroupsSampler', 'JSONLinesDataset', 'Letterbox', 'LoadReferringImage',
    'LoadReferringMask', 'PackRefSegInputs', 'PhraseCutDataset', 'RandomErasing', 'RandomLetterbox',
    'RandomReferentCrop', 'RefCLEFDataset', 'RefCOCODataset', 'ReferringLMDBDataset', 'ReferringMixture',
    'SameImageSampler', 'SampleSentence', 'SeededInfiniteSampler', 'SeededSampler', 'ShuffledExpressions', 'Stretch',
    'VOCPromptDataset',
]

if TYPE_CHECKING:
    from .absent_expressions import AbsentExpressions
    from .base_referring_dataset import BaseReferringDataset
    from .changed_expressions import ChangedExpressions, ShuffledExpressions
    from .coco_prompts import CocoPromptDataset
    from .grefcoco import GRefCOCODataset
    from .json_lines import JSONLinesDataset
    from .phrasecut import PhraseCutDataset
    from .refclef import RefCLEFDataset
    from .refcoco import RefCOCODataset
    from .refer_lmdb import ReferringLMDBDataset
    from .referring_mixture import ReferringMixture
    from .samplers import (
        ImageGroupsInfiniteSampler,
        ImageGroupsSampler,
        SameImageSampler,
        SeededInfiniteSampler,
        SeededSampler,
    )
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

__getattr__, __dir__ = import_on_demand(__name__)
