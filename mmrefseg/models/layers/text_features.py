"""What a text encoder gives to the parts that take text."""
from typing import NamedTuple

from torch import Tensor


class TextFeatures(NamedTuple):
    """Word and sentence features of a batch of expressions.

    Args:
        tokens: (B, L, C), one feature per token, start and end tokens included.
        mask: bool (B, L), True for real tokens, False for padding.
        sentence: (B, D), one feature per expression.
    """

    tokens: Tensor
    mask: Tensor
    sentence: Tensor
