"""An exported model behind the inferencer's interface."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.utils.optional_packages import need_extra

from .image_sources import ImageSource
from .inferencer import PreparedImage, RefSegInferencer
from .result import RefSegResult

INFO = 'refseg.json'


def is_exported(folder: str | Path) -> bool:
    """Whether a folder holds a model that ``mmrefseg export`` wrote.

    Args:
        folder: its path.
    """
    return os.path.isfile(os.path.join(folder, INFO))


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Errors of the stand-alone code, which knows no classes of mmrefseg, as errors that a user can mend."""
    from ..export.refseg_onnx import RefSegError
    try:
        yield
    except RefSegError as error:
        raise InputError(str(error)) from error


class ExportedInferencer(RefSegInferencer):
    """Answers as :class:`RefSegInferencer` does, by onnxruntime. Of the folder only data are read; no program.

    Args:
        folder: what ``mmrefseg export`` wrote.
        device: ``'cpu'``, ``'cuda'``, or ``'auto'`` for a GPU if onnxruntime finds one. Default ``'auto'``.

    Raises:
        MissingPackageError: onnxruntime isn't installed.
        InputError: the folder is damaged, of another version, or for another device.
    """

    def __init__(self, folder: str | Path, device: str | None = 'auto') -> None:
        need_extra('onnx', 'onnxruntime')
        from ..export.refseg_onnx import Model
        kind = (device or 'auto').partition(':')[0]
        if kind not in ('auto', 'cpu', 'cuda'):
            raise InputError(f"an exported model runs on 'cpu' or 'cuda', not on {device!r}")
        with _told_as_ours():
            self._exported = Model(folder, providers={'auto': None, 'cpu': ['CPUExecutionProvider'], 'cuda': [
                'CUDAExecutionProvider', 'CPUExecutionProvider']}[kind])
        self.model, self.device = None, torch.device('cpu')

    def prepare(self, source: ImageSource) -> Any:
        """Read an image and put it into the network's square.

        Args:
            source: the image.

        Raises:
            UserError: it cannot be read.
        """
        with _told_as_ours():
            return source, self._exported.prepare(np.ascontiguousarray(source.read()))

    def _encode(self, prepared: list[Any]) -> Any:
        with _told_as_ours():
            return self._exported.encode([image for _, image in prepared])

    def answer_batch(self, shared: Tensor | tuple, prepared: list[PreparedImage], questions: list[tuple[int, str]],
                     threshold: float | None) -> list[RefSegResult]:
        """Answer expressions about images that are encoded.

        Args:
            shared: of the images.
            prepared: the images.
            questions: which image, and what to look for.
            threshold: see :meth:`__call__`.

        Raises:
            InputError: the network computes nothing that is an answer.
        """
        pairs: Any = prepared
        encoded: Any = shared  # what encode() gave: arrays
        with _told_as_ours():
            answers = self._exported.ask(encoded, [image for _, image in pairs], questions, threshold)
        return [RefSegResult(text, pairs[i][0], answer.size, answer.threshold,
                             torch.from_numpy(np.array(answer.logits, np.float32)), (answer.side, answer.side),
                             answer.matrix)
                for (i, text), answer in zip(questions, answers, strict=True)]
