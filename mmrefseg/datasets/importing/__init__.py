"""Import of what annotation tools write: from their files to a folder of JSON Lines."""
from .importing import FORMATS, import_annotations
from .recognising import recognise
from .records import Options
from .splitting import parse_shares

__all__ = ['FORMATS', 'Options', 'import_annotations', 'parse_shares', 'recognise']
