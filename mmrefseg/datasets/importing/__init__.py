"""Import of what annotation tools write: from their files to a folder of JSON Lines."""
from .annotation import Options
from .format_recognition import recognise
from .importing import FORMATS, import_annotations
from .split_assignment import parse_shares

__all__ = ['FORMATS', 'Options', 'import_annotations', 'parse_shares', 'recognise']
