from .albumentations import Albumentations
from .crop import RandomReferentCrop
from .erasing import RandomErasing
from .formatting import PackRefSegInputs
from .geometry import FastLetterbox, FlipReferring, Letterbox, Stretch
from .loading import LoadReferringImage, LoadReferringMask
from .multiscale import RandomLetterbox
from .text import ConcatSentences, DropExpression, SampleSentence, swap_left_right

__all__ = [
    'Albumentations', 'ConcatSentences', 'DropExpression', 'FastLetterbox', 'FlipReferring', 'Letterbox',
    'LoadReferringImage', 'LoadReferringMask', 'PackRefSegInputs', 'RandomErasing', 'RandomLetterbox',
    'RandomReferentCrop', 'SampleSentence', 'Stretch', 'swap_left_right'
]
