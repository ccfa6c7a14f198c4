"""Putting weights into a module, completely or not at all, and writing checkpoints."""
from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmrefseg.errors import InputError

_NAMED = 10


def _listed(title: str, items: Iterable[str]) -> str:
    items = sorted(items)
    if not items:
        return ''
    more = f' … and {len(items) - _NAMED} more' if len(items) > _NAMED else ''
    return f'\n  {len(items)} {title}: {", ".join(items[:_NAMED])}{more}'


def _wrong_shapes(module: nn.Module, state_dict: Mapping[str, Tensor]) -> list[str]:
    return [
        f'{name} {tuple(state_dict[name].shape)} instead of {tuple(own.shape)}'
        for name, own in module.state_dict().items()
        if name in state_dict and state_dict[name].shape != own.shape
    ]


def _wrong_kinds(module: nn.Module, state_dict: Mapping[str, Tensor]) -> list[str]:
    """Weights that would become others without a word: codes of 8 bits, imaginary parts, numbers beyond the range."""
    wrong = []
    for name, own in module.state_dict().items():
        value = state_dict.get(name)
        if value is None or not own.is_floating_point():
            continue
        if not value.is_floating_point():
            wrong.append(f'{name} {value.dtype} instead of {own.dtype}')
        elif not value.is_meta and value.dtype != own.dtype and is_finite(value) > is_finite(value.to(own.dtype)):
            wrong.append(f'{name} {value.dtype}, with numbers beyond the range of {own.dtype}')
    return wrong


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load weights of exactly this architecture.

    Only BatchNorm's ``num_batches_tracked``, which old files lack, may be missing.

    Args:
        module: receives the weights.
        state_dict: name → tensor.
        source: where the weights come from, for the message.

    Raises:
        InputError: the weights are of another architecture, or no fractions where the module's are, as 8-bit codes;
            names the keys and shapes that don't fit. The module's weights are undefined then.
    """
    if not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise InputError(f'{source} holds no state dict where one was expected: some of its entries are no tensors')
    missing, unexpected, shapes = [], [], []
    kinds = _wrong_kinds(module, state_dict)
    try:
        missing, unexpected = module.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        shapes = _wrong_shapes(module, state_dict)
        if not shapes:
            raise InputError(f'{source} does not fit {type(module).__name__}: {error}') from error
        own = module.state_dict().keys()
        missing, unexpected = own - state_dict.keys(), state_dict.keys() - own
    missing = [name for name in missing if not name.endswith('num_batches_tracked')]
    report = (_listed('weights of the model are missing there', missing) +
              _listed('weights there are unknown to the model', unexpected) + _listed('have another shape', shapes) +
              _listed('are numbers of another kind', kinds))
    if report:
        raise InputError(f'{source} is of another architecture than {type(module).__name__}:{report}\n'
                         'Use the config that these weights were trained with, or other weights.')


def tensors_in(value: Any, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested dicts and sequences, each with a name for people.

    Args:
        value: a tensor, or what may hold some.
        name: what stands before the keys of a tensor. Default empty.
    """
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from tensors_in(part, f'{name}{key}')
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part, name)


def is_finite(value: Tensor) -> bool:
    """Whether all numbers of a tensor are finite.

    Args:
        value: of any type.
    """
    if value.is_floating_point() and value.element_size() == 1:
        value = value.float()  # PyTorch doesn't look at numbers of 8 bits
    return bool(value.isfinite().all())


def first_not_finite(weights: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The first of some weights that holds NaN or infinity; None where all are finite.

    Args:
        weights: name → tensor; other values are passed over.
        names: which weights must be finite, those that are missing aside.
    """
    spoilt = (name for name in names if isinstance(weights.get(name), Tensor) and not is_finite(weights[name]))
    return next(spoilt, None)


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model inside wrappers for several processes or test-time augmentation.

    Args:
        model: the model, in any number of wrappers or none.
    """
    from mmengine.model import BaseTTAModel, is_model_wrapper  # here, as in loading.py

    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def checkpoint_bytes(checkpoint: Mapping[str, Any]) -> bytes:
    """A checkpoint as the content of a file, which is the same for the same checkpoint.

    Args:
        checkpoint: what the file is to hold.
    """
    content = io.BytesIO()
    torch.save(checkpoint, content)
    return content.getvalue()
