"""From the checkpoints of published implementations to ours: names and values, no files."""
from .cris import convert_cris
from .detris import convert_detris
from .renaming import Conversion

__all__ = ['Conversion', 'convert_cris', 'convert_detris']
