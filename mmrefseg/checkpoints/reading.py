"""Reading checkpoint files as data: nothing in them is executed."""
from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from mmengine.utils import apply_to
from safetensors import SafetensorError
from torch import Tensor

from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.utils.zip_archive import open_archive

from .pickled_types import RefusedName
from .torch_file import read_legacy, read_zip

# All that PyTorch converts to float32, which it doesn't do with 4 bits.
_TYPES = {dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)
          and not str(dtype).startswith(('torch.float4', 'torch.int4'))}

MapLocation = str | torch.device | Callable | None

# What reading something else than a checkpoint's bytes may end in.
_DAMAGE = (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError,
           MemoryError, struct.error)


def _refuse_missing(path: Path) -> None:
    if path.is_file():
        return
    if not path.parent.is_dir():
        raise MissingInputError(f'no checkpoint {path}: there is no folder {path.parent}')
    kind = 'it is a folder' if path.is_dir() else 'there is no such file'
    names = sorted(file.name for file in path.parent.iterdir() if file.suffix in ('.pth', '.pt', '.safetensors'))
    similar = get_close_matches(path.name, names, cutoff=0.4) or names[:5]
    raise MissingInputError(f'no checkpoint {path}: {kind}. {path.parent} holds {", ".join(similar) or "none at all"}')


def _refuse_torchscript(path: Path) -> None:
    with path.open('rb') as file, open_archive(file) as archive:
        members = {Path(name).name for name in archive.namelist()}
    if 'constants.pkl' in members:
        raise InputError(
            f"{path} is a TorchScript archive, as OpenAI's CLIP files are: a program, which is not run here. Use "
            'the same weights as safetensors: open_clip_model.safetensors of timm/vit_base_patch16_clip_224.openai,'
            ' timm/resnet50_clip.openai or timm/resnet101_clip.openai on the Hugging Face hub')
    if 'data.pkl' not in members:
        raise InputError(f'{path} is no PyTorch checkpoint; expected was a file written by torch.save, or .safetensors')


def _find_format(path: Path) -> Callable[[BinaryIO, torch.device | str], Any]:
    """Tell from a file's first bytes how it is read; refuses what ``torch.save`` cannot have written, or finished."""
    with path.open('rb') as file:
        start = file.read(4)
    if start == b'PK\x03\x04':
        if not zipfile.is_zipfile(path):
            raise InputError(f'{path} is truncated; copy or download it again, or use an older checkpoint')
        _refuse_torchscript(path)
        return read_zip
    # Without an archive around it, the older format begins like any pickle of protocol 2.
    if start[:2] == b'\x80\x02':
        return read_legacy
    what = 'empty' if not start else 'no PyTorch checkpoint'
    raise InputError(f'{path} is {what}; expected was a file written by torch.save, or .safetensors')


def _read_torch_file(path: Path, device: torch.device | str) -> Any:
    try:
        read = _find_format(path)
        with path.open('rb') as file:
            return read(file, device)
    except RefusedName as error:
        raise InputError(
            f'{path} holds {error}, which is neither weights nor a state of mmengine. Loading it could run code '
            'that came with the file, so it was refused. Take weights from a source that publishes plain state dicts '
            'or safetensors') from None
    except zipfile.BadZipFile as error:
        raise InputError(f'{path} is damaged, as its archive shows: {error}. Copy or download it again, or use an '
                         'older checkpoint') from error
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f'{path} is damaged, and cannot be read as a PyTorch checkpoint: '
                         f'{str(error) or type(error).__name__}') from error


def _read_safetensors(path: Path, device: torch.device | str) -> dict[str, torch.Tensor]:
    try:
        tensors = safetensors.torch.load_file(path, device=str(device))
    except (SafetensorError, *_DAMAGE) as error:
        raise InputError(f'{path} is truncated or no safetensors file: {error}') from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise InputError(f'{path} has {name[:80]!r} as {tensor.dtype}, which holds several numbers per element. '
                             'Take a file in another precision')
    return tensors


def _check_names(checkpoint: Any, path: Path) -> None:
    parts = {'': checkpoint}
    if isinstance(checkpoint, dict):
        names = checkpoint.keys() & {'state_dict', 'ema_state_dict'}
        parts.update({f"'s {name}": checkpoint[name] for name in names})
    for owner, part in parts.items():
        if not isinstance(part, dict):
            raise InputError(f'{path}{owner} holds a {type(part).__name__}; expected was a dict of weights')
        for name in part:
            if not isinstance(name, str):
                raise InputError(f'{path}{owner} holds an entry named {name!r}; expected were strings as names')


def load_from_local(filename: str | Path, map_location: MapLocation = None) -> dict:
    """Read a checkpoint file; mmengine calls this wherever it loads from a local path.

    A file of ``torch.save`` is refused where a checksum of its archive doesn't hold. Files of the format before
    PyTorch 1.6 and ``.safetensors`` have no checksums: damage among their numbers cannot be seen.

    Args:
        filename: path of a file by ``torch.save``, or of a ``.safetensors`` file.
        map_location: device where the tensors go. Default None: the CPU, which a function stands for, too.

    Returns:
        The dict in the file.

    Raises:
        MissingInputError: there is no such file; names those beside it.
        FileError: the file cannot be read.
        InputError: the file is truncated, damaged, no checkpoint, a TorchScript archive, holds something that isn't
            data (named in the message), or its content isn't a dict of named weights.
    """
    path = Path(filename).expanduser()
    device = map_location if isinstance(map_location, str | torch.device) else 'cpu'
    _refuse_missing(path)
    read = _read_safetensors if path.suffix == '.safetensors' else _read_torch_file
    try:
        checkpoint = read(path, device)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f'{path} cannot be read: {error}') from error
    _check_names(checkpoint, path)
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        # mmengine runs this entry of old checkpoints as Python when it resumes; all it looks for is a number of GPUs.
        meta.pop('config', None)
    return checkpoint


def check_readable(checkpoint: Mapping[str, Any]) -> None:
    """Make sure, before a checkpoint is written, that what is in it can be read again.

    Args:
        checkpoint: what will be saved. Of its tensors only the types are looked at.

    Raises:
        InputError: it holds something that isn't data; names the entry and the class.
    """
    for name, value in checkpoint.items():
        content = io.BytesIO()
        try:
            torch.save(apply_to(value, lambda part: isinstance(part, Tensor), _without_elements), content)
            read_zip(content)
        except (pickle.PickleError, AttributeError, TypeError) as error:
            trouble = f'it holds {error}' if isinstance(error, RefusedName) else str(error)
            raise InputError(
                f"the checkpoint's {name!r} could not be loaded again: {trouble}. Keep numbers, strings, lists, dicts, "
                'tensors and arrays of numbers there, such as in the metainfo of a data set') from error


def _without_elements(tensor: Tensor) -> Tensor:
    return torch.empty(0, dtype=tensor.dtype)
