"""Loading checkpoints into models: the one way for hooks, the inferencer and tools."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from mmrefseg.errors import InputError

from .module_weights import first_not_finite, load_weights
from .trained_only import add_frozen_weights


def find_weights(checkpoint: Mapping[str, Any]) -> OrderedDict[str, Tensor]:
    """The weights in a checkpoint, named as in a model on its own.

    Where mmengine averaged weights in training (``EMAHook``), they are the averaged ones, which a test uses, too.

    Args:
        checkpoint: a checkpoint of mmengine, or a bare state dict; of a model alone or in a wrapper for several
            processes (names that begin with ``module.``).

    Returns:
        Name → tensor, with the versions of the modules (``_metadata``) that a state dict brings along.

    Raises:
        InputError: a weight is there twice, with and without the wrapper's ``module.``.
    """
    state_dict = checkpoint.get('state_dict', checkpoint)
    weights = OrderedDict((name.removeprefix('module.'), value) for name, value in state_dict.items())
    if len(weights) < len(state_dict):
        twice = next(name for name in weights if {name, f'module.{name}'} <= state_dict.keys())
        raise InputError(f'the checkpoint has {twice} twice, with and without "module." before it: nobody can tell '
                         'which one is meant')
    # By the versions in there, modules tell whether they must convert what an older one of them saved.
    weights._metadata = getattr(state_dict, '_metadata', None)
    return weights


def load_checkpoint(model: nn.Module, checkpoint: str | Path | dict, source: str = '') -> dict:
    """Load a checkpoint of exactly a model's architecture, completely or not at all.

    One that holds only what was trained gets its frozen weights from the pretrained files that the model's config
    names; a file is read on the CPU, as data only.

    Args:
        model: receives the weights; no wrapper for several processes.
        checkpoint: path or address of the checkpoint, or what is in it.
        source: where the checkpoint comes from, for messages. Default its path.

    Returns:
        The checkpoint, with its frozen weights.

    Raises:
        MissingInputError: there is no such file, or no pretrained file that it needs.
        FileError: the file cannot be read or downloaded.
        InputError: the file is damaged or no checkpoint, or the weights are of another architecture or belong on
            other pretrained ones, or hold NaN or infinity.
    """
    if not isinstance(checkpoint, dict):
        source = source or str(checkpoint)
        from mmengine.runner import CheckpointLoader  # here, as it takes a second, before which many commands end

        checkpoint = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    source = source or 'the checkpoint'
    add_frozen_weights(checkpoint, model, source)
    weights = find_weights(checkpoint)
    # Buffers may be infinite on purpose.
    if spoilt := first_not_finite(weights, (name for name, _ in model.named_parameters())):
        raise InputError(f'{source} cannot be used: its {spoilt} holds NaN or infinity, as after a training that went '
                         'wrong, or in a damaged file. Take an earlier checkpoint')
    load_weights(model, weights, source)
    return checkpoint


def is_hub_state(state: Any) -> bool:
    """Whether a value is what mmengine's message hub keeps.

    Args:
        state: anything, of a file that nobody vouches for.
    """
    kinds = dict(log_scalars=HistoryBuffer, runtime_info=object, resumed_keys=bool)
    return isinstance(state, dict) and all(
        isinstance(state.get(part), dict) and all(isinstance(key, str) and isinstance(value, kind)
                                                  for key, value in state[part].items())
        for part, kind in kinds.items())


def is_run_meta(meta: Any) -> bool:
    """Whether a value tells how far a training came, and with which seed.

    Args:
        meta: anything, of a file that nobody vouches for.
    """
    counts = [meta.get(count) for count in ('epoch', 'iter')] if isinstance(meta, dict) else [None]
    return all(type(count) is int and count >= 0 for count in counts) and (
        meta.get('seed') is None or (type(meta['seed']) is int and 0 <= meta['seed'] < 1 << 32))


def check_resumable(checkpoint: Mapping[str, Any], source: str) -> None:
    """Make sure that a training can be resumed from a checkpoint.

    Args:
        checkpoint: what is in the file.
        source: where it comes from, for the message.

    Raises:
        InputError: it lacks the state of the training, as published files do.
    """
    if not (is_run_meta(checkpoint.get('meta')) and is_hub_state(checkpoint.get('message_hub'))):
        raise InputError(
            f'{source} holds weights, but not the state of a training (how far it came, its log, its optimizer), as '
            'files that were published do not: it cannot be resumed. Resume from a checkpoint in the work folder of '
            'the training, or start a new training from these weights with --cfg-options load_from=FILE in the place '
            'of --resume')
