"""Preparation of data sets: from their own files to JSON Lines and LMDB, once and for all."""
from .downloading import fetch
from .json_lines_validation import validate
from .prepared_verification import verify
from .preparing import prepare, read_manifest
from .recipes import RECIPES

__all__ = ['RECIPES', 'fetch', 'prepare', 'read_manifest', 'validate', 'verify']
