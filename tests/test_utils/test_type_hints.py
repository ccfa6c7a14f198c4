"""Values against type hints, case by case."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict

from mmrefseg.utils.type_hints import MISFIT, Count, Finite, Share, fit, in_words


@pytest.mark.parametrize(('hint', 'values'), [
    (int, [0, -3, np.int64(3), np.uint8(3), torch.tensor(3)]),
    (float, [0, 0.5, float('inf'), np.float32(0.5), np.float64(0.5), np.int32(1), torch.tensor(0.5)]),
    (bool, [True, False, np.bool_(True), torch.tensor(False)]),
    (str, ['', 'five', np.str_('five'), Path('five')]),
    (Count, [1, np.int64(5)]),
    (Share, [0, 1, 0.5, np.float32(0.5)]),
    (Finite, [-1e30, 0]),
    (int | None, [None, 3]),
    (Optional[int], [None, 3]),  # noqa: UP045  MMEngine's way
    (str | Path, ['five', Path('five')]),
    (int | Sequence[int], [3, [3], (3, ), [], range(3), np.array([3, 4]), torch.tensor([3])]),
    (Literal['a', 1], ['a', 1]),
    (tuple[int, str], [(1, 'a'), [1, 'a']]),
    (tuple[float, ...], [(), [0.5], (1, np.float32(2))]),
    (tuple, [(), [1, 'a']]),
    (list[dict], [[], ({}, ), [ConfigDict(a=1)]]),
    (Sequence[dict | Callable], [[{}, len], (), [int]]),
    (dict, [{}, ConfigDict(a=1)]),
    (dict[str, str], [{}, {'a': 'b'}, ConfigDict(a='b')]),
    (Mapping, [{}]),
    (Sequence, [[1], (1, 'a'), range(3)]),
    (Sized, [[], {}]),
    (Callable, [len, int]),
    (type, [int]),
    (torch.Tensor, [torch.zeros(2)]),
    (np.ndarray, [np.zeros(2)]),
    (Any, [None, object(), 'five']),
])
def test_what_fits(hint: Any, values: list) -> None:
    assert [value for value in values if fit(value, hint) is MISFIT] == []


@pytest.mark.parametrize(('hint', 'values'), [
    (int, [True, 0.5, 1.0, 'five', None, [], (1, ), 1j, np.bool_(True), np.float32(1), np.array([1]), torch.zeros(1)]),
    (float, [True, 'five', None, float('nan'), np.float32('nan'), [0.5], np.array([0.5])]),
    (bool, [0, 1, 'True', None, np.int64(1)]),
    (str, [5, b'five', None, ['five'], len]),
    (Count, [0, -1, True, 1.0, None]),
    (Share, [-0.1, 1.1, float('nan'), float('inf')]),
    (Finite, [float('inf'), -float('inf'), float('nan')]),
    (int | None, ['five', 0.5, []]),
    (int | Sequence[int], ['five', '', [0.5], [None], [[3]], {1: 2}, {3}, np.array([0.5])]),
    (Literal['a', 1], ['b', True, 1.0, None]),
    (tuple[int, str], [(1, ), (1, 'a', 'b'), ('a', 1), 'ab', None]),
    (tuple[float, ...], [0.5, [None], ['0.5']]),
    (list[dict], [{}, [[]], 'ab', None]),
    (Sequence[str], ['five', b'five', [5]]),
    (Sequence[dict | Callable], [[5], {}, range(2), ['Letterbox']]),
    (Iterable, ['five']),
    (dict, [[], 'ab', None]),
    (dict[str, str], [{1: 'b'}, {'a': 1}]),
    (Callable, ['len', None]),
    (type, ['int', 5]),
    (torch.Tensor, [np.zeros(2), [1]]),
])
def test_what_does_not(hint: Any, values: list) -> None:
    assert [value for value in values if fit(value, hint) is not MISFIT] == []


@pytest.mark.parametrize(('value', 'hint', 'expected'), [
    (np.int64(3), int, 3),
    (torch.tensor(0.5), float, 0.5),
    (np.float32(0.5), Share, 0.5),
    (np.array([1, 2]), Sequence[int], [1, 2]),
    ([np.int64(1), 2], Sequence[int], [1, 2]),
    ([1, 2], tuple[int, int], (1, 2)),
    ((1, 2), list[int], [1, 2]),
    (((1, np.int8(2)), (3, 4)), tuple[tuple[int, int], ...], ((1, 2), (3, 4))),
    (Path('a/b'), str, 'a/b'),
    (Path('a/b'), str | Path, Path('a/b')),
])
def test_what_it_becomes(value: Any, hint: Any, expected: Any) -> None:
    def types(item: Any) -> Any:
        return [type(item), *map(types, item)] if isinstance(item, list | tuple) else type(item)

    found = fit(value, hint)
    assert found == expected
    assert types(found) == types(expected)


def test_what_fits_is_handed_on_as_it_is() -> None:
    for value, hint in (([1, 2], Sequence[int]), ((1, 2), tuple), ({'a': 'b'}, dict[str, str]), (2.5, float)):
        assert fit(value, hint) is value


def test_hints_that_cannot_be_checked_are_bugs() -> None:
    with pytest.raises(TypeError, match="cannot be checked against the type hint 'int'"):
        fit(5, 'int')


@pytest.mark.parametrize(('hint', 'words'), [
    (int, 'a whole number'), (Count, 'a whole number from 1'), (Share, 'a number from 0 to 1'),
    (Finite, 'a number that is finite'), (bool, 'True or False'), (int | None, 'a whole number or None'),
    (Literal['a', 'b'], "'a' or 'b'"), (tuple[float, float], 'a list of 2 items, each a number'),
    (tuple[int, str], 'a list of a whole number and a string'), (Sequence[str], 'a list with a string each'),
    (dict[str, str] | None, 'a dict or None'), (list[dict] | Callable, 'a list with a dict each or something to call'),
    (torch.Tensor, 'a Tensor'),
])
def test_words(hint: Any, words: str) -> None:
    assert in_words(hint) == words
