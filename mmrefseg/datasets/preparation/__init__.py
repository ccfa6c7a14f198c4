"""Preparation of data sets: from their own files to JSON Lines and LMDB, once and for all."""
from .downloading import fetch
from .preparing import prepare, read_manifest
from .recipes import RECIPES
from .validation import validate
from .verification import verify

__all__ = ['RECIPES', 'fetch', 'prepare', 'read_manifest', 'validate', 'verify']
