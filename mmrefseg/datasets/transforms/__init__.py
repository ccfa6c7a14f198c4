from .formatting import PackRefSegInputs
from .geometry import FlipReferring, Letterbox, Stretch, letterbox_matrix
from .loading import LoadReferringImage, LoadReferringMask
from .text import SampleSentence, swap_left_right

__all__ = [
    'FlipReferring', 'Letterbox', 'LoadReferringImage', 'LoadReferringMask', 'PackRefSegInputs', 'SampleSentence',
    'Stretch', 'letterbox_matrix', 'swap_left_right'
]
