"""Where a data set keeps its referents: read-only, and shared by the worker processes."""
from __future__ import annotations

import io
import pickle
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Sequence

import numpy as np


class Referents(Sequence[dict]):
    """A read-only list of referents, each made when it is asked for.

    Args:
        num_sentences: (N,) integers; how many expressions each of the N referents has.
    """

    def __init__(self, num_sentences: np.ndarray) -> None:
        self.num_sentences = num_sentences

    def __len__(self) -> int:
        return len(self.num_sentences)

    @abstractmethod
    def __getitem__(self, index: int) -> dict:
        """A new dictionary with everything about one referent, ``sentences`` included."""

    def __deepcopy__(self, memo: dict) -> Referents:
        # Copies of a data set, as subsets are, share it.
        return self


class ReferentsInMemory(Referents):
    """Referents in one array of bytes, so that forked workers share its memory.

    Args:
        referents: the referents; each is pickled on its own.
    """

    def __init__(self, referents: Iterable[dict]) -> None:
        buffer, bounds, num_sentences = io.BytesIO(), array('q', [0]), array('q')
        for referent in referents:
            bounds.append(bounds[-1] + buffer.write(pickle.dumps(referent, protocol=pickle.HIGHEST_PROTOCOL)))
            num_sentences.append(len(referent['sentences']))
        super().__init__(np.array(num_sentences))
        self._bounds = np.array(bounds)
        self._bytes = np.frombuffer(buffer.getbuffer(), dtype=np.uint8)

    def __getitem__(self, index: int) -> dict:
        start, end = self._bounds[range(len(self))[index]:][:2]
        return pickle.loads(memoryview(self._bytes[start:end]))  # noqa: S301 - pickled by this very object
