"""One way for all commands from what a user names to what answers."""
from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mmrefseg.utils.files import sha256_of

from ..config_to_model import pipeline_of, read_config
from ..sharing import HUB, is_model_folder, pull
from ..sharing.model_folder import CONFIG
from .exported_inferencer import INFO, ExportedInferencer, is_exported
from .inferencer import RefSegInferencer


def brings_weights(model: str | Path) -> bool:
    """Whether a name stands for a model with its weights, and not for a config.

    Args:
        model: what a user names.
    """
    return str(model).startswith(HUB) or is_model_folder(model) or is_exported(model)


def load_inferencer(model: str | Path, weights: str | Path | None = None, device: str = 'auto',
                    dtype: str = 'float32') -> RefSegInferencer:
    """Load a model of any kind that users can name, ready to be asked.

    Args:
        model: a config; or a shared or exported model, which brings its weights.
        weights: a checkpoint. Default None.
        device: see :class:`RefSegInferencer`. Default ``'auto'``.
        dtype: see :class:`RefSegInferencer`. Default ``'float32'``.

    Raises:
        UserError: as :class:`RefSegInferencer`.
    """
    if is_exported(model):
        return ExportedInferencer(model, device)
    return RefSegInferencer(model, weights, device, dtype)


def identity_of(model: str | Path, weights: str | Path | None = None) -> dict[str, str | None]:
    """What tells one model from another: its name, and the content of its config and of its file of weights.

    Args:
        model: as :func:`load_inferencer` takes it.
        weights: as :func:`load_inferencer` takes it. Default None.
    """
    if brings_weights(model):  # its notes have the SHA-256 of the weights
        folder = pull(str(model)) if str(model).startswith(HUB) else model
        return dict(model=str(model), weights=sha256_of(os.path.join(folder, INFO if is_exported(folder) else CONFIG)))
    config = read_config(model)
    parts = dict(model=config.to_dict()['model'], pipeline=pipeline_of(config))
    text = json.dumps(parts, skipkeys=True, default=lambda value: getattr(value, '__qualname__', type(value).__name__))
    named = None if weights is None else str(weights)
    return dict(model=str(model), config=hashlib.sha256(text.encode()).hexdigest(),
                weights=sha256_of(named) if named is not None and os.path.isfile(named) else named)
