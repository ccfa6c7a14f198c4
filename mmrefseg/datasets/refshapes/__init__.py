"""RefShapes: made-up scenes with referring expressions, in the format of RefCOCO or PhraseCut."""
from .picture import STYLES
from .scene import COLOURS, HELD_OUT, SHAPES, SPLITS
from .writer import LAYOUTS, make_refshapes

__all__ = ['COLOURS', 'HELD_OUT', 'LAYOUTS', 'SHAPES', 'SPLITS', 'STYLES', 'make_refshapes']
