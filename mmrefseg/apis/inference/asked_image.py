"""One image that is asked about again and again."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from .expressions_per_image import check_expressions
from .result import RefSegResult

if TYPE_CHECKING:
    from .inferencer import PreparedImage, RefSegInferencer


class AskedImage:
    """One encoded image, which answers any number of questions; see :meth:`RefSegInferencer.image`.

    Args:
        ask: the inferencer.
        prepared: the image.
        shared: what the model made of it.
    """

    def __init__(self, ask: RefSegInferencer, prepared: PreparedImage, shared: Tensor | tuple) -> None:
        self._ask, self._prepared, self._shared = ask, prepared, shared

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright image in pixels."""
        return tuple(self._prepared.sample.ori_shape[:2])

    def __call__(self,
                 expressions: str | Sequence[str],
                 batch_size: int = 8,
                 threshold: float | None = None) -> RefSegResult | list[RefSegResult]:
        """Answer expressions about this image.

        Args:
            expressions: what to look for.
            batch_size: expressions that the model sees at once. Default 8.
            threshold: probability that a pixel of a mask exceeds. Default None, the config's.

        Returns:
            One answer for a string; for several a list, in order.

        Raises:
            InputTypeError: an expression is no string.
            InputError: an expression is blank, or a number is out of range.
        """
        self._ask.check_numbers(batch_size, threshold)
        questions = [(0, text) for text in check_expressions(expressions)]
        results = []
        for start in range(0, len(questions), batch_size):
            results += self._ask.answer_batch(
                self._shared, [self._prepared], questions[start:start + batch_size], threshold)
        return results[0] if isinstance(expressions, str) else results
