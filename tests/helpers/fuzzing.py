"""Damaging files at random, in the same way for the same seed."""
from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from helpers.value_mutation import change_values

from mmrefseg.errors import UserError

_INTERESTING = (0, 1, 0x7f, 0x80, 0xff)
_LARGEST_PIECE = 64


def _flip(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 4, 32))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _overwrite(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    length = min(rng.choice((1, 2, 4, 8)), len(content) - start)
    content[start:start + length] = bytes((rng.choice(_INTERESTING), )) * length


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)):]


def _remove(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    del content[start:start + rng.randint(1, _LARGEST_PIECE)]


def _insert(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    content[start:start] = rng.randbytes(rng.randint(1, _LARGEST_PIECE))


def _repeat(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    piece = content[start:start + rng.randint(1, _LARGEST_PIECE)]
    content[start:start] = piece * rng.choice((1, 1, 16))


def _exchange(content: bytearray, rng: random.Random) -> None:
    first, second = (rng.randrange(len(content)) for _ in range(2))
    length = rng.randint(1, _LARGEST_PIECE)
    content[first:first + length], content[second:second + length] = (
        content[second:second + length], content[first:first + length])


_WAYS = (_flip, _flip, _overwrite, _overwrite, _cut, _remove, _insert, _repeat, _exchange)


def mutate(content: bytes, seed: int | None) -> bytes:
    """Damage some bytes in one to three ways: flip bits, overwrite, cut off, remove, insert, repeat, exchange.

    Args:
        content: the bytes of a whole file, at least one.
        seed: the same one gives the same damage; None: no damage.

    Returns:
        The damaged bytes, maybe none.
    """
    if seed is None:
        return content
    rng = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if damaged:
            rng.choice(_WAYS)(damaged, rng)
    return bytes(damaged)


def change_json(content: bytes, seed: int | None, lines: bool = False) -> bytes:
    """Damage JSON as :func:`mutate` does, or, of every second seed, change its values, so that it remains JSON.

    Args:
        content: the whole file, a list or an object that isn't empty.
        seed: as :func:`mutate` takes it.
        lines: whether each line is one. Default False.

    Returns:
        The damaged file.
    """
    if seed is None or seed % 2:
        return mutate(content, seed)
    elements = list(map(json.loads, content.splitlines())) if lines else json.loads(content)
    changed = change_values(elements, seed)
    parts = changed if lines and isinstance(changed, list) else [changed]
    return '\n'.join(json.dumps(part, default=repr, skipkeys=True) for part in parts).encode()


class Endings(NamedTuple):
    """How the tries ended.

    Args:
        fine: how many did what they should.
        refused: how many ended in an error that tells a user what to mend.
        unclear: seed → the error, of all others.
    """

    fine: int
    refused: int
    unclear: dict[int, str]


def endings(attempt: Callable[[int], object], seeds: Iterable[int]) -> Endings:
    """Try something damaged in many ways.

    Args:
        attempt: tries what a seed says.
        seeds: one damage each.
    """
    fine, refused, unclear = 0, 0, {}
    for seed in seeds:
        try:
            attempt(seed)
            fine += 1
        except UserError:
            refused += 1
        except Exception as error:  # noqa: BLE001  whatever else comes is what is looked for
            unclear[seed] = f'{type(error).__name__}: {error}'
    return Endings(fine, refused, unclear)


def unclear_ends(read: Callable[[bytes], object], content: bytes, seeds: Iterable[int]) -> dict[int, str]:
    """Read a file that is damaged in many ways, and collect what ends in anything but a clear error.

    Args:
        read: reads the bytes of a file.
        content: the bytes of a whole file.
        seeds: one damage each.

    Returns:
        Seed → the error, wherever it was no error that tells a user what to mend; empty if all is well.
    """
    return endings(lambda seed: read(mutate(content, seed)), seeds).unclear
