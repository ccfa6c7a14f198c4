"""Checkpoints that hold only what was trained, to be laid on the pretrained weights beneath.

Such a delta is a checkpoint of mmengine whose ``state_dict`` (and ``ema_state_dict``) lacks entries, and whose
``meta['base']`` says which: part of the model → ``names`` of the entries, their common ``sha256``, and the ``files``
that they came from.
"""
from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import MODELS

_EMA = 'module.'


def digest(name: str, value: Tensor) -> str:
    """SHA-256 over an entry's name, type, shape and bytes, as hex digits.

    Args:
        name: the entry's name.
        value: its tensor, on any device.
    """
    sha = hashlib.sha256(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
    sha.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def digests(state_dict: Mapping[str, Any]) -> dict[str, str]:
    """Name → :func:`digest` of each tensor in a state dict.

    Args:
        state_dict: name → tensor; other values are passed over.
    """
    return {name: digest(name, value) for name, value in state_dict.items() if isinstance(value, Tensor)}


def _common(entries: Mapping[str, str]) -> str:
    """One SHA-256 for several digests, whatever their order."""
    return hashlib.sha256(''.join(entries[name] for name in sorted(entries)).encode()).hexdigest()


def _init_weights(model: nn.Module) -> None:
    """Initialise a model without mmengine's report on every parameter, thousands of lines where no log file is."""
    model._dump_init_info = lambda: None
    try:
        model.init_weights()
    finally:
        del model._dump_init_info


def base_digests(config: dict) -> dict[str, str]:
    """Build a model and initialise it, to learn what its config gives without any training.

    Random weights come out different each time, so only pretrained and constant ones are found again. The state of
    PyTorch's random numbers is left as it was.

    Args:
        config: config of the model.

    Returns:
        Name → :func:`digest`, of every entry of the state dict.
    """
    with torch.random.fork_rng(devices=[]):
        model = MODELS.build(deepcopy(config))
        if hasattr(model, 'init_weights'):
            _init_weights(model)
    return digests(model.state_dict())


def trained_names(model: nn.Module) -> set[str]:
    """Names of the parameters that train.

    Args:
        model: the model, not wrapped.
    """
    return {name for name, value in model.named_parameters(remove_duplicate=False) if value.requires_grad}


def part_of(name: str) -> str:
    """The part of the model, such as ``backbone``, that an entry of its state dict belongs to.

    Args:
        name: the entry's name, such as ``backbone.tower.norm.weight``.
    """
    return name.partition('.')[0]


def _files_of(model: nn.Module, part: str) -> list[str]:
    """Files that ``init_cfg`` of the model, of one of its parts, or of a module in that names."""
    children = dict(model.named_children())
    files = []
    for module in (model, *(children[part].modules() if part in children else ())):
        configs = getattr(module, 'init_cfg', None) or ()
        configs = [configs] if isinstance(configs, dict) else configs
        files += [str(config['checkpoint']) for config in configs if 'checkpoint' in config]
    return list(dict.fromkeys(files))


def remove_frozen_weights(checkpoint: dict, model: nn.Module, base: Mapping[str, str]) -> None:
    """Turn a full checkpoint into a delta, in place.

    Left out is what doesn't train and is, bit for bit, what the config gives without training; in a checkpoint with
    averaged weights too, both copies must be that.

    Args:
        checkpoint: a checkpoint of mmengine with ``meta`` and ``state_dict``, maybe ``ema_state_dict``.
        model: the model that it is of.
        base: what :func:`base_digests` gives for the model's config.
    """
    trained = trained_names(model)
    state, ema = checkpoint['state_dict'], checkpoint.get('ema_state_dict', {})
    parts = defaultdict(dict)
    for name, found in digests({name: value for name, value in state.items() if name not in trained}).items():
        averaged = ema.get(_EMA + name)
        if found == base.get(name) and (averaged is None or digest(name, averaged) == found):
            parts[part_of(name)][name] = found
    for name in (name for entries in parts.values() for name in entries):
        del state[name]
        ema.pop(_EMA + name, None)
    checkpoint['meta']['base'] = {
        part: dict(sha256=_common(entries), files=_files_of(model, part), names=sorted(entries))
        for part, entries in parts.items()
    }


def is_delta(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint holds only what was trained.

    Args:
        checkpoint: what the file holds.
    """
    meta = checkpoint.get('meta')
    return isinstance(meta, dict) and bool(meta.get('base'))


def _read_base(checkpoint: dict, source: str) -> dict[str, dict]:
    base = checkpoint['meta']['base']
    try:
        intact = all(
            isinstance(entry['sha256'], str) and all(isinstance(text, str) for text in (*entry['files'],
                                                                                      *entry['names']))
            for entry in base.values()) and isinstance(checkpoint['state_dict'], dict)
    except (AttributeError, KeyError, TypeError):
        intact = False
    if not intact:
        raise InputError(f'{source} is damaged: meta["base"] does not say which weights it was trained upon')
    return base


def _initialise(model: nn.Module, source: str) -> None:
    """Load what the config names as pretrained, which a test of a full checkpoint does without."""
    if getattr(model, 'is_init', True):
        return
    try:
        _init_weights(model)
    except MissingInputError as error:
        raise MissingInputError(f'{source} holds only what was trained and needs the pretrained weights that it was '
                                f'trained upon: {error}') from error


def _named(files: Iterable[str]) -> str:
    return ', '.join(files) or 'no pretrained file'


def _difference(model: nn.Module, own: Mapping[str, Tensor], part: str, entry: Mapping[str, Any]) -> str:
    """What is wrong with a part's weights, or an empty string."""
    absent = [name for name in entry['names'] if name not in own]
    if absent:
        return f'{part} is of another architecture: the model has no {absent[0]} ({len(absent)} such weights)'
    found = _common(digests({name: own[name] for name in entry['names']}))
    if found == entry['sha256']:
        return ''
    return (f'{part} was trained upon frozen weights with SHA-256 {entry["sha256"]} (from {_named(entry["files"])}), '
            f'but those here have {found} (from {_named(_files_of(model, part))})')


def add_frozen_weights(checkpoint: dict, model: nn.Module, source: str) -> None:
    """Turn a delta into a full checkpoint, in place; a full one is left as it is.

    A model that was only built is initialised first, so that it has the pretrained weights that its config names.

    Args:
        checkpoint: a checkpoint of mmengine.
        model: the model, neither trained nor loaded since it was initialised. What the delta lacks is taken from it
            (the very tensors, no copies).
        source: where the checkpoint comes from, for the message.

    Raises:
        MissingInputError: a pretrained file that the model's config names isn't there.
        InputError: the model's frozen weights are not those that the delta was trained upon; names the parts and
            the hashes.
    """
    if not is_delta(checkpoint):
        return
    base = _read_base(checkpoint, source)
    _initialise(model, source)
    own = model.state_dict()
    differences = list(filter(None, (_difference(model, own, part, entry) for part, entry in base.items())))
    if differences:
        raise InputError(
            f'{source} holds only what was trained, and belongs on other weights: {"; ".join(differences)}. Let '
            'init_cfg.checkpoint in the config name the files that it was trained with, or use a full checkpoint: '
            'tools/model_converters/merge_checkpoint.py makes one where those files are')
    del checkpoint['meta']['base']
    for name in (name for entry in base.values() for name in entry['names']):
        checkpoint['state_dict'][name] = own[name]
        if 'ema_state_dict' in checkpoint:
            checkpoint['ema_state_dict'][_EMA + name] = own[name]
