"""RefShapes: made-up scenes with referring expressions, in the format of RefCOCO."""
from .scene import COLOURS, HELD_OUT, SPLITS
from .silhouettes import SHAPES
from .writer import NUM_IMAGES, make_refshapes

__all__ = ['COLOURS', 'HELD_OUT', 'NUM_IMAGES', 'SHAPES', 'SPLITS', 'make_refshapes']
