"""What reads files that others made, each with a try of it that a seed damages.

``SURFACES`` has them all: kind → a function that takes a folder for its files and gives the try. With None for a
seed nothing is damaged, and all must be well.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from .annotations import READERS, annotations, archives, broken_entries, lmdb, logs, manifest
from .checkpoints import FORMATS, checkpoints, resumed
from .damaged_files import Attempt
from .images import FILES, pictures
from .imports import IMPORTS, imports
from .predictions import PREDICTIONS, predictions

EXPORTED = ('refseg.json', 'tokenizer.json', 'model.onnx')
REQUESTS = ('JSON', 'a form', 'outlines', 'tasks', 'setup')


def _with_extras(module: str, function: str, *arguments: str) -> Callable[[Path], Attempt]:
    """Of a module that needs packages which only some have."""
    return lambda folder: getattr(import_module(f'{__name__}.{module}'), function)(*arguments, folder)


SURFACES: dict[str, Callable[[Path], Attempt]] = {
    **{f'annotations: {name}': partial(annotations, name) for name in READERS},
    'annotations: broken entries left out': broken_entries,
    'archives': archives,
    'lmdb': lmdb,
    **{f'images and masks: {name}': partial(pictures, name) for name in FILES},
    **{f'checkpoints: {name}': partial(checkpoints, name) for name in FORMATS},
    'resumed state': resumed,
    'logs': logs,
    'manifest': partial(manifest, 'prepared.json'),
    'checksums of images': partial(manifest, 'annotations/train.images.json'),
    **{f'imports: {name}': partial(imports, name) for name in IMPORTS},
    **{f'predictions: {name}': partial(predictions, name) for name in PREDICTIONS},
    **{f'exported folders: {name}': _with_extras('exported', 'exported', name) for name in EXPORTED},
    **{f'requests: {name}': _with_extras('requests', 'bodies', name) for name in REQUESTS},
    'requests: heads': _with_extras('requests', 'heads'),
}
