from typing import TYPE_CHECKING

import mmrefseg.utils.needs_openmmlab  # noqa: F401
from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = [
    'Albumentations', 'ConcatSentences', 'DropExpression', 'FastLetterbox', 'FlipReferring', 'Letterbox',
    'LoadReferringImage', 'LoadReferringMask', 'PackRefSegInputs', 'RandomErasing', 'RandomLetterbox',
    'RandomReferentCrop', 'SampleSentence', 'Stretch', 'swap_left_right'
]

if TYPE_CHECKING:
    from .albumentations import Albumentations
    from .crop_and_erase import RandomErasing, RandomReferentCrop
    from .formatting import PackRefSegInputs
    from .geometry import FastLetterbox, FlipReferring, Letterbox, RandomLetterbox, Stretch
    from .loading import LoadReferringImage, LoadReferringMask
    from .text import ConcatSentences, DropExpression, SampleSentence, swap_left_right

__getattr__, __dir__ = import_on_demand(__name__)
