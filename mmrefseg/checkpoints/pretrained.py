"""Where pretrained weights come from."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmrefseg.errors import MissingInputError

# The end of a local path and the address of that file.
_SOURCES = (
    (re.compile(r'(?:^|/)((dinov2_vit[sblg]14)(?:_reg4)?_pretrain\.pth)$'),
     r'https://dl.fbaipublicfiles.com/dinov2/\2/\1'),
    (re.compile(r'(?:^|/)([^/]+_clip\w*\.openai)/(open_clip_model\.safetensors)$'),
     r'https://huggingface.co/timm/\1/resolve/main/\2'),
    (re.compile(r'(?:^|/)(vit_\w+\.\w+)/(model\.safetensors)$'), r'https://huggingface.co/timm/\1/resolve/main/\2'),
)


def is_address(name: str) -> bool:
    """Whether weights are named by an address, such as ``https://...`` or mmengine's ``torchvision://...``.

    Args:
        name: a path, an address or a tag.
    """
    return '://' in name


def source_of(path: str | Path) -> str | None:
    """The address of an official weight file, known by the end of its local path; None for any other file.

    Args:
        path: where the file is, or should be; it need not exist.
    """
    for pattern, address in () if is_address(str(path)) else _SOURCES:
        if match := pattern.search(Path(path).as_posix()):
            return match.expand(address)
    return None


def is_tag(name: str) -> bool:
    """Whether weights are named by a word, as open_clip's ``openai``, and not by a path or an address.

    Args:
        name: a path, an address or a tag.
    """
    return re.fullmatch(r'[\w-]+', name) is not None and not Path(name).is_file()


def weight_files(config: Any, setting: str = 'model') -> Iterator[tuple[str, str]]:
    """Find the checkpoints that a model's config asks for, in ``dict(type='Pretrained', checkpoint=...)``.

    Args:
        config: a model's config, or a part of it; searched at any depth.
        setting: what ``config`` is called in the whole config. Default ``'model'``.

    Yields:
        The name of each such setting, such as ``model.backbone.init_cfg``, and the path, address or tag in it.
    """
    if isinstance(config, Mapping):
        if config.get('type') == 'Pretrained':
            yield setting, config['checkpoint']
        parts = config.items()
    else:
        parts = enumerate(config) if isinstance(config, list | tuple) else ()
    for name, part in parts:
        # A list of initialisations is None as a whole or not at all.
        yield from weight_files(part, setting if setting.endswith('.init_cfg') else f'{setting}.{name}')


def require_weights(path: str, owner: str, config: str = 'CONFIG', setting: str = 'init_cfg') -> None:
    """Make sure that a local weight file is there; addresses (``https://...``) are left to whoever loads them.

    Args:
        path: path or address of the file.
        owner: the part of the model that needs it, for the message.
        config: path of the config that names it, for the message. Default a placeholder.
        setting: the config's setting that names it, for the message. Default ``'init_cfg'``.

    Raises:
        MissingInputError: it is not there; says where it was looked for and how to get it.
    """
    if is_address(path) or Path(path).is_file():
        return
    address = source_of(path)
    mend = (f'Run `mmrefseg weights {config}`, or put the file there from {address}.'
            if address else f'Put the file there, or name another in {setting}.')
    raise MissingInputError(f'{owner} needs the weights {path}, but there is no file {Path(path).resolve()}. {mend} '
                            f'Only {setting}=None, which --cfg-options can set, trains from random weights.')


def require_files(config: Config) -> None:
    """Make sure that all local weight files are there that a training of a config needs.

    Args:
        config: a whole config.

    Raises:
        MissingInputError: names all that are missing, each as :func:`require_weights` does.
    """
    missing = []
    for setting, file in weight_files(config.model):
        try:
            if not is_tag(file):
                require_weights(file, setting.removesuffix('.init_cfg'), config.filename, setting)
        except MissingInputError as error:
            missing.append(str(error))
    if missing:
        raise MissingInputError('\n'.join(missing))
