"""The folder of a shared model: ``config.json``, ``model.safetensors`` and ``README.md``."""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn.modules import module as registering

from mmrefseg.errors import InputError, UserError
from mmrefseg.utils.files import (
    JSON_ENCODING,
    check_writable,
    read_regular,
    refuse_foreign_files,
    sha256_of,
    write_atomically,
    write_json,
)
from mmrefseg.utils.json_text import decode_json
from mmrefseg.version import __version__

from ..config_to_model import build_model
from .plain_config import check_plain, flatten

CONFIG, WEIGHTS, CARD = 'config.json', 'model.safetensors', 'README.md'
FILES = (CONFIG, WEIGHTS, CARD)

_FORMAT, _LIBRARY = 1, 'mmrefseg'
_MOST_BYTES = 1 << 20  # of a config
_MOST_BUFFERED = 1 << 26  # numbers in a buffer that no file holds, such as a mask of attention
_PER_WEIGHT, _MORE = 100, 1000  # parts that may be built per weight in the file, as some are cut off again


def is_model_folder(folder: str | Path) -> bool:
    """Whether a folder holds a shared model.

    Args:
        folder: its path.
    """
    return os.path.isfile(os.path.join(folder, CONFIG)) and os.path.isfile(os.path.join(folder, WEIGHTS))


def find_model_folder(name: Any) -> tuple[Config, str] | None:
    """Config and weights of a shared model.

    Args:
        name: a folder, or ``'hf:owner/name'`` on the Hugging Face hub; anything else is none.

    Raises:
        UserError: it is one, but damaged, or cannot be downloaded.
    """
    from .hub import HUB, pull
    if isinstance(name, str) and name.startswith(HUB):
        return read_model_folder(pull(name))
    return read_model_folder(name) if isinstance(name, str | Path) and is_model_folder(name) else None


def write_model_folder(config: Config, model: nn.Module, folder: str | Path, card: str) -> None:
    """Write the folder of a shared model: config, weights and card.

    Args:
        config: its config.
        model: with its weights.
        folder: to write into.
        card: the text of its ``README.md``.

    Raises:
        InputError: the config holds what cannot be shared.
        FileError: the folder cannot be written, or holds files of the same names that are not of a shared model.
    """
    plain, folder = flatten(config), Path(folder)
    check_writable(folder)
    refuse_foreign_folder(folder)
    weights = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    write_atomically(safetensors.torch.save(weights, metadata={'format': 'pt'}), folder / WEIGHTS)
    content = dict(format=_FORMAT, library_name=_LIBRARY, mmrefseg_version=__version__,
                   weights_sha256=sha256_of(folder / WEIGHTS), config=plain)
    write_json(content, folder / CONFIG)
    write_atomically(card.encode(), folder / CARD)


def refuse_foreign_folder(folder: str | Path) -> None:
    """Refuse to replace another library's model, whose files have the same names.

    Args:
        folder: to write into; need not be there.

    Raises:
        FileError: it holds such files, and no shared model of ours.
    """
    try:
        content = json.loads(read_regular(os.path.join(folder, CONFIG), _MOST_BYTES).decode(JSON_ENCODING))
        is_ours = isinstance(content, dict) and content.get('library_name') == _LIBRARY
    except (UserError, ValueError, RecursionError):
        is_ours = False
    if not is_ours:
        refuse_foreign_files(folder, FILES)


def read_model_folder(folder: str | Path) -> tuple[Config, str]:
    """Read a shared model as data: nothing that is in it runs, and no memory is taken before the file has its weights.

    Args:
        folder: the folder.

    Raises:
        MissingInputError: a file is missing.
        InputError: it is damaged, of a newer version, or names parts that are none of mmrefseg's; or the weights are
            others than the config's.
    """
    path, weights = os.path.join(folder, CONFIG), os.path.join(folder, WEIGHTS)
    text = read_regular(path, _MOST_BYTES)
    try:
        content = decode_json(text.decode(JSON_ENCODING))
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path} is no whole JSON file ({error}). Get it again') from None
    if not isinstance(content, dict) or content.get('format') != _FORMAT:
        raise InputError(f'{path} is not what mmrefseg push of this version writes (format {_FORMAT}). Update '
                         'mmrefseg, or get the model again')
    try:
        check_plain(content.get('config'))
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    if content.get('weights_sha256') != sha256_of(weights):
        raise InputError(f'{weights} is not the file that {path} was written with: their SHA-256 differ. Get both '
                         'again')
    config = Config(content['config'])
    _check_shapes(config, weights)
    return config, weights


def _check_shapes(config: Config, path: str) -> None:
    """Compare the model's weights, of which only the shapes are made, with those that the file declares."""
    try:
        with safetensors.safe_open(path, framework='pt') as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise InputError(f'{path} is no whole safetensors file ({error}). Get it again') from None
    with torch.device('meta'), _in_proportion(len(found), path):
        expected = {name: tuple(value.shape) for name, value in build_model(config).state_dict().items()}
    if differing := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
        raise InputError(f'{path} has other weights than its config: {", ".join(differing[:5])}. Get both again')


@contextmanager
def _in_proportion(number: int, path: str) -> Iterator[None]:
    """While a model is built: give up where it gets far more parts than the file has weights, or endless buffers."""
    left = _PER_WEIGHT * number + _MORE

    def count(_module: nn.Module, name: str, value: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise InputError(f'the model has far more parts than {path} has weights. Get both again')
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.numel() > _MOST_BUFFERED:
            raise InputError(f'{name!r} of the model would have {value.numel()} numbers. Get the model again')

    hooks = [register(count) for register in (registering.register_module_module_registration_hook,
                                              registering.register_module_parameter_registration_hook,
                                              registering.register_module_buffer_registration_hook)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
