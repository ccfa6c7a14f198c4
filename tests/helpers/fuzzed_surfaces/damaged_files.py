"""What a surface gives: a try of it that a seed damages."""
from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

from helpers.fuzzing import change_json, mutate
from helpers.value_mutation import change_values

Attempt = Callable[[int | None], object]


def damaged(content: bytes, name: str, seed: int | None) -> bytes:
    """A file that is damaged, or of some kinds has other values, too."""
    kind = Path(name).suffix
    if kind == '.p' and seed is not None and not seed % 2:
        return pickle.dumps(change_values(pickle.loads(content), seed), protocol=2)  # noqa: S301  written by the test
    return change_json(content, seed, kind == '.jsonl') if kind in ('.json', '.jsonl') else mutate(content, seed)


def read_all(dataset) -> None:
    """Everything that a data set says of its samples and images."""
    for index in range(len(dataset)):
        dataset.get_data_info(index)
    dataset.images()
