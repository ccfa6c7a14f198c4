import mmrefseg.utils.needs_openmmlab  # noqa: F401

from .albumentations import Albumentations
from .crop_and_erase import RandomErasing, RandomReferentCrop
from .formatting import PackRefSegInputs
from .geometry import FastLetterbox, FlipReferring, Letterbox, RandomLetterbox, Stretch
from .loading import LoadReferringImage, LoadReferringMask
from .text import ConcatSentences, DropExpression, SampleSentence, swap_left_right

__all__ = [
    'Albumentations', 'ConcatSentences', 'DropExpression', 'FastLetterbox', 'FlipReferring', 'Letterbox',
    'LoadReferringImage', 'LoadReferringMask', 'PackRefSegInputs', 'RandomErasing', 'RandomLetterbox',
    'RandomReferentCrop', 'SampleSentence', 'Stretch', 'swap_left_right'
]
