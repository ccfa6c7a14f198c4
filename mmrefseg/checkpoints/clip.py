"""Architectures and weights of CLIP, by open_clip's names or from files."""
from __future__ import annotations

import open_clip
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmrefseg.errors import InputError

from .loading import find_weights
from .pretrained import is_tag, require_weights

_NUMBERS = ('context_length', 'input_resolution', 'vocab_size')


def find_clip_config(arch: str | dict, *needed: str) -> dict:
    """The config of an architecture in open_clip's own form.

    Args:
        arch: an open_clip architecture such as ``RN50-quickgelu``, or such a config.
        *needed: what must be in there, such as ``vision_cfg``.

    Returns:
        A dict of ``embed_dim``, ``text_cfg`` and ``vision_cfg``; of a given one, what is in there.

    Raises:
        InputError: open_clip has no such architecture, or something is missing in the config.
    """
    # By other names open_clip would read a folder, or the hub.
    config = open_clip.get_model_config(arch) if arch in open_clip.list_models() else arch
    if isinstance(config, str):
        raise InputError(f'open_clip has no architecture {arch!r}; open_clip.list_models() lists those it has')
    if missing := [part for part in needed if part not in config]:
        raise InputError(f'arch is {arch!r}; {" and ".join(missing)} must be in there')
    return config


def read_clip_weights(arch: str | dict, checkpoint: str) -> tuple[dict[str, Tensor], str]:
    """Read weights of both towers of a CLIP.

    Args:
        arch: the architecture, as :func:`find_clip_config` takes it.
        checkpoint: path or address of a file of weights or of open_clip's training, or a pretrained tag that open_clip
            has for ``arch``, such as ``openai``.

    Returns:
        name → tensor, without DataParallel's ``module.`` and the three numbers in OpenAI's state dicts that are no
        weights; and the file's path.

    Raises:
        MissingInputError: there is no such file.
        InputError: open_clip has no such tag.
    """
    path = _find_file(arch, checkpoint)
    weights = find_weights(CheckpointLoader.load_checkpoint(path, map_location='cpu'))
    return {name: value for name, value in weights.items() if name not in _NUMBERS}, path


def _find_file(arch: str | dict, checkpoint: str) -> str:
    if is_tag(checkpoint) and isinstance(arch, str):
        tags = open_clip.list_pretrained_tags_by_model(arch)
        if checkpoint not in tags:
            raise InputError(f'there is no file {checkpoint!r}, and open_clip has no such weights for {arch!r}: it has '
                             f'{", ".join(tags) or "none"}')
        return open_clip.download_pretrained(open_clip.get_pretrained_cfg(arch, checkpoint))
    require_weights(checkpoint, 'CLIP')
    return checkpoint
