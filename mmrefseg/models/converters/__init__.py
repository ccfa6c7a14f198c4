"""From the checkpoints of published implementations to ours: names and values, no files."""
from .detris import convert_detris
from .parts import Conversion

__all__ = ['Conversion', 'convert_detris']
