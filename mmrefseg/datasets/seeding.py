"""Random draws that depend on the sample alone, not on who makes them or what was drawn before."""
from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import get_worker_info

from mmrefseg.utils.random_state import get_cpu_state, set_cpu_state


class SampleIndex(int):
    """Index of a sample that brings along what its random draws depend on.

    It reaches worker processes by itself, those that outlive an epoch included. Data sets that shift or wrap it on its
    way to the one inside, as ``ConcatDataset`` and ``RepeatDataset`` do, keep its seed; one that looks another index
    up, as ``ClassBalancedDataset`` does, loses it, and the draws then come from the generators as they are.

    Args:
        index: the index.
        seed: any integers; equal ones give equal draws.
    """

    seed: tuple[int, ...]

    def __new__(cls, index: int, seed: tuple[int, ...]) -> SampleIndex:
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:
        return int(self), self.seed

    def __sub__(self, other: int) -> SampleIndex:
        return SampleIndex(int(self) - other, self.seed)

    def __mod__(self, other: int) -> SampleIndex:
        return SampleIndex(int(self) % other, self.seed)


@contextmanager
def seeded(index: int) -> Iterator[None]:
    """Seed the generators that transforms draw from while a sample is made: Python's, NumPy's and PyTorch's on the CPU.

    In the main process they go on afterwards as if nothing had been drawn. An index without a seed changes nothing.

    Args:
        index: of the sample; a :class:`SampleIndex` of the samplers.
    """
    if not isinstance(index, SampleIndex):
        yield
        return
    # Taking NumPy's state costs more than all the rest, and nothing else in a worker draws from it.
    state = get_cpu_state() if get_worker_info() is None else None
    random.seed(repr(index.seed))
    np.random.seed(random.getrandbits(32))
    torch.default_generator.manual_seed(random.getrandbits(63))
    try:
        yield
    finally:
        if state:
            set_cpu_state(state)
