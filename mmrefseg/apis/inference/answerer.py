"""One way for all commands from what a user names to what answers."""
from __future__ import annotations

from pathlib import Path

from .inferencer import RefSegInferencer


def load_answerer(model: str | Path, weights: str | Path | None = None, device: str = 'auto',
                  dtype: str = 'float32') -> RefSegInferencer:
    """Load what answers.

    Args:
        model: a config.
        weights: a checkpoint. Default None.
        device: see :class:`RefSegInferencer`. Default ``'auto'``.
        dtype: see :class:`RefSegInferencer`. Default ``'float32'``.

    Raises:
        UserError: as :class:`RefSegInferencer`.
    """
    return RefSegInferencer(model, weights, device, dtype)
