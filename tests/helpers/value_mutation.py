"""Changing single values of nested data at random, in the same way for the same seed."""
from __future__ import annotations

import random
from collections import Counter, OrderedDict
from copy import deepcopy
from typing import Any

import numpy as np
import torch

_ODD = (None, True, False, 0, -1, 3, 1 << 31, 1 << 63, 10**400, -10**400, 0.5, -0.5, 1e308, float('nan'), float('inf'),
        -float('inf'), '', 'x', '5', '\ud800', b'x', [], [1], [[]], (), (1, 2), {}, {'a': 1}, {0: 'x'}, set(),
        Counter({1: 10**6}), OrderedDict(a=None), 1 + 2j, np.float64('nan'), np.int64(-1), np.zeros(0),
        np.zeros((2, 2), bool), torch.zeros(()), torch.zeros(0), torch.zeros(3, 5), torch.tensor([[float('nan')]]),
        torch.tensor(-1), torch.ones(2, dtype=torch.complex64), torch.ones(2, 1, dtype=torch.bool))


def _keys(value: Any) -> list:
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


def _place(value: Any, rng: random.Random) -> tuple[Any, Any]:
    """A container and a key or index in it, at any depth: large parts are not met more often than small ones."""
    while True:
        key = rng.choice(_keys(value))
        if not _keys(value[key]) or rng.random() < 0.2:
            return value, key
        value = value[key]


def _turned(value: Any, rng: random.Random) -> Any:
    """A value that is nearly the old one."""
    if isinstance(value, torch.Tensor) and value.numel():
        ways = (lambda: value.flatten()[:-1], lambda: value[None], lambda: value.to(torch.int64), lambda: value.bool(),
                lambda: -value.double() - 1, lambda: value * float('nan'), lambda: value.double() * 1e300)
        return rng.choice(ways)()
    if type(value) in (int, float) and abs(value) < 1 << 60:
        return rng.choice((-value, str(value), float(value), [value], value + 1, value * 10**15, torch.tensor(value)))
    if isinstance(value, list | tuple) and len(value):
        return rng.choice((value[:-1], value * 2, tuple(value), list(value), dict(enumerate(value))))
    if isinstance(value, dict) and value:
        return rng.choice((list(value.items()), {str(key): part for key, part in value.items()},
                           {**value, 'more': 1}, {**value, 10**6: {}}))
    return [value]


def change_values(content: dict | list, seed: int, changes: int | None = None) -> dict | list:
    """Change one to three values of nested dicts and lists: to odd ones, to nearly the same, or remove them.

    Args:
        content: the data, which stays as it is.
        seed: the same one gives the same changes.
        changes: how many. Default None: one to three.

    Returns:
        The changed data.
    """
    rng = random.Random(seed)
    content = deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3)) if changes is None else changes):
        owner, key = _place(content, rng)
        way = rng.random()
        if way < 0.15 and len(owner) > 1:
            del owner[key]
        else:
            owner[key] = deepcopy(rng.choice(_ODD)) if way < 0.6 else _turned(owner[key], rng)
    return content
