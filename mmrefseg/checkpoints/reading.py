"""Reading checkpoints as data: nothing in them is executed.

Importing this module puts its readers in the place of mmengine's for local files and downloads, and allows PyTorch's
restricted unpickler the few classes that mmengine's own checkpoints hold. Everything else is refused by name.
"""
from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mmengine.runner.checkpoint
import numpy as np
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError

from mmrefseg.errors import FileError, InputError, MissingInputError

MapLocation = str | torch.device | Callable | None

# Methods that mmengine's objects keep a reference to, and so name in a checkpoint.
_METHODS = {
    HistoryBuffer: ('min', 'max', 'current', 'mean'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}


def _stored_method(owner: Any, name: str) -> Callable:
    """Stand for ``getattr`` in a pickle, which names methods by it. The real one would open every door."""
    if not isinstance(owner, type) or name not in _METHODS.get(owner, ()):
        raise pickle.UnpicklingError(f'GLOBAL {getattr(owner, "__name__", type(owner).__name__)}.{name} is refused')
    return getattr(owner, name)


def _allow_mmengine() -> None:
    rebuild_array = np.empty(0).__reduce__()[0]
    rebuild_scalar = np.float64(0).__reduce__()[0]
    torch.serialization.add_safe_globals([
        *_METHODS, (_stored_method, 'builtins.getattr'), np.ndarray, np.dtype,
        # Losses and counts in the history, and scores as metrics return them.
        *(type(np.dtype(name)) for name in ('float32', 'float64', 'int64')),
        # numpy moved these two between its versions 1 and 2; a checkpoint has either name.
        *((function, f'numpy.{place}.multiarray.{function.__name__}')
          for function in (rebuild_array, rebuild_scalar) for place in ('core', '_core')),
    ])


def _refuse_missing(path: Path) -> None:
    if path.is_file():
        return
    if not path.parent.is_dir():
        raise MissingInputError(f'no checkpoint {path}: there is no folder {path.parent}')
    kind = 'it is a folder' if path.is_dir() else 'there is no such file'
    names = sorted(file.name for file in path.parent.iterdir() if file.suffix in ('.pth', '.pt', '.safetensors'))
    similar = get_close_matches(path.name, names, cutoff=0.4) or names[:5]
    raise MissingInputError(f'no checkpoint {path}: {kind}. {path.parent} holds {", ".join(similar) or "none at all"}')


def _refuse_foreign(path: Path) -> None:
    """Tell files that PyTorch cannot have written as a checkpoint, or has not finished, from their first bytes."""
    with path.open('rb') as file:
        start = file.read(4)
    if start == b'PK\x03\x04':
        if not zipfile.is_zipfile(path):
            raise InputError(f'{path} is truncated; copy or download it again, or use an older checkpoint')
        with zipfile.ZipFile(path) as archive:
            members = {Path(name).name for name in archive.namelist()}
        if 'constants.pkl' in members:
            raise InputError(
                f"{path} is a TorchScript archive, as OpenAI's CLIP files are: a program, which is not run here. Use "
                'the same weights as safetensors: open_clip_model.safetensors of timm/vit_base_patch16_clip_224.openai,'
                ' timm/resnet50_clip.openai or timm/resnet101_clip.openai on the Hugging Face hub')
        if 'data.pkl' in members:
            return
    # Without an archive around it, the older format begins like any pickle of protocol 2.
    elif start[:2] == b'\x80\x02':
        return
    what = 'empty' if not start else 'no PyTorch checkpoint'
    raise InputError(f'{path} is {what}; expected was a file written by torch.save, or .safetensors')


def _read_pickle(path: Path, map_location: MapLocation) -> Any:
    _refuse_foreign(path)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's own text advises to switch the protection off.
        refused = re.search(r"(?:GLOBAL |<class ')([\w.]+)", str(error))
        if refused is None:
            raise InputError(f'{path} is damaged, or holds more than weights and numbers; it was not loaded') from None
        raise InputError(
            f'{path} holds {refused[1]}, which is neither weights nor a state of mmengine. Loading it could run code '
            'that came with the file, so it was refused. Take weights from a source that publishes plain state dicts '
            'or safetensors') from None
    except (EOFError, LookupError, TypeError, AttributeError, ValueError, RuntimeError, struct.error) as error:
        raise InputError(f'{path} cannot be read as a PyTorch checkpoint: {error}') from error


def _read_safetensors(path: Path, map_location: MapLocation) -> dict[str, torch.Tensor]:
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    try:
        return safetensors.torch.load_file(path, device=str(device))
    except SafetensorError as error:
        raise InputError(f'{path} is truncated or no safetensors file: {error}') from error


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: MapLocation = None) -> dict:
    """Read a checkpoint file; mmengine calls this wherever it loads from a local path.

    Args:
        filename: path of a file by ``torch.save``, or of a ``.safetensors`` file.
        map_location: see ``torch.load``. Default None.

    Returns:
        The dict in the file.

    Raises:
        MissingInputError: there is no such file; names those beside it.
        InputError: the file is truncated, no checkpoint, a TorchScript archive, holds something that isn't data
            (named in the message), or its content isn't a dict.
    """
    path = Path(filename).expanduser()
    _refuse_missing(path)
    read = _read_safetensors if path.suffix == '.safetensors' else _read_pickle
    checkpoint = read(path, map_location)
    if not isinstance(checkpoint, dict):
        raise InputError(f'{path} holds a {type(checkpoint).__name__}; expected was a dict of weights')
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        # mmengine runs this entry of old checkpoints as Python when it resumes; all it looks for is a number of GPUs.
        meta.pop('config', None)
    return checkpoint


def downloaded_path(url: str, folder: str | Path | None = None) -> Path:
    """Where the file of an address is kept; without a folder in PyTorch's own, which ``TORCH_HOME`` moves."""
    return Path(folder or Path(torch.hub.get_dir(), 'checkpoints'), Path(urlparse(url).path).name)


def load_url(url: str,
             model_dir: str | None = None,
             map_location: MapLocation = None,
             progress: bool = True) -> dict:
    """Download a checkpoint, unless it was before, and read it by :func:`load_from_local`.

    Stands for PyTorch's function of this name, which unpickles anything.

    Args:
        url: address; the last part of its path becomes the file's name.
        model_dir: folder for the file. Default None: PyTorch's hub folder.
        map_location: see ``torch.load``. Default None.
        progress: show a bar. Default True.

    Returns:
        The dict in the file.

    Raises:
        FileError: the download failed; says where the file is looked for.
        InputError: see :func:`load_from_local`.
    """
    path = downloaded_path(url, model_dir)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        except OSError as error:
            raise FileError(f'{url} cannot be downloaded to {path} ({error}); put the file there yourself') from error
    return load_from_local(str(path), map_location)


_allow_mmengine()
mmengine.runner.checkpoint.load_url = load_url
