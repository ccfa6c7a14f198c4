"""Loading a checkpoint of which some parts differ from the model's on purpose."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from mmrefseg.errors import InputError

from .loading import find_weights
from .trained_only import add_frozen_weights, part_of


class PartLoaded(NamedTuple):
    """How much of a part of the model came from a checkpoint.

    Args:
        part: its name, such as ``'backbone'``.
        loaded: entries that were taken.
        kept: names of entries that stay as the model has them: the checkpoint lacks them, or has another shape.
        unused: names of entries that the checkpoint has and the model doesn't.
    """

    part: str
    loaded: int
    kept: list[str]
    unused: list[str]


def fit_partially(checkpoint: dict, model: nn.Module, may_differ: Sequence[str], source: str) -> list[PartLoaded]:
    """Give a checkpoint exactly a model's weights where the two may differ; in place.

    Elsewhere nothing is changed, so that whoever loads it finds what doesn't fit.

    Args:
        checkpoint: a checkpoint of mmengine, or a bare state dict; one that holds only what was trained is completed.
        model: whose weights fill in for those that are missing or have another shape; no wrapper.
        may_differ: beginnings of names, such as ``'decode_head'`` or ``'decode_head.kernel'``, that may.
        source: where the checkpoint comes from, for messages.

    Returns:
        One line for each part of the model.

    Raises:
        InputError: neither the model nor the checkpoint has a name that begins so.
    """
    add_frozen_weights(checkpoint, model, source)
    found, own = find_weights(checkpoint), model.state_dict()
    for beginning in may_differ:
        if not any(_begins(name, [beginning]) for name in {**own, **found}):
            raise InputError(f'may_differ names {beginning!r}, with which no weight of the model begins; they begin '
                             f'with {", ".join(sorted({part_of(name) for name in own}))}')
    kept, unused = [], []
    for name in [name for name in found if name not in own and _begins(name, may_differ)]:
        del found[name]
        unused.append(name)
    for name, value in own.items():
        if _begins(name, may_differ) and not _fits(found.get(name), value):
            found[name] = value
            kept.append(name)
    checkpoint['state_dict'] = found
    return _by_part(own, kept, unused)


def _begins(name: str, beginnings: Sequence[str]) -> bool:
    return any(name == beginning or name.startswith(f'{beginning}.') for beginning in beginnings)


def _fits(found: object, own: Tensor) -> bool:
    return isinstance(found, Tensor) and found.shape == own.shape


def _by_part(own: Mapping[str, Tensor], kept: Sequence[str], unused: Sequence[str]) -> list[PartLoaded]:
    parts: dict[str, PartLoaded] = {}
    numbers: dict[str, int] = defaultdict(int)
    for name in own:
        numbers[part_of(name)] += 1
    for part in dict.fromkeys([*numbers, *map(part_of, unused)]):
        of_part = [name for name in kept if part_of(name) == part]
        parts[part] = PartLoaded(part, numbers[part] - len(of_part), of_part,
                                 [name for name in unused if part_of(name) == part])
    return list(parts.values())


def loading_table(parts: Sequence[PartLoaded]) -> str:
    """What was loaded, as a text for a log.

    Args:
        parts: lines of :func:`fit_partially`.
    """
    lines = [f'{"part":24}{"loaded":>8}{"left as made":>14}{"not used":>10}']
    lines += [f'{line.part:24}{line.loaded:8}{len(line.kept):14}{len(line.unused):10}' for line in parts]
    for title, names in (('left as made', [name for line in parts for name in line.kept]),
                         ('not used', [name for line in parts for name in line.unused])):
        if names:
            lines.append(f'{title}: {", ".join(names)}')
    return '\n'.join(lines)
