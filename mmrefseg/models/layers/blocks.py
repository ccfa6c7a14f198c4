"""Choosing blocks of a transformer."""
from collections.abc import Iterable


def check_blocks(what: str, indices: Iterable[int], num_blocks: int) -> None:
    """Refuse indices of blocks that a transformer doesn't have.

    Raises:
        ValueError: an index is not in 0 … ``num_blocks`` - 1.
    """
    foreign = sorted(i for i in indices if not 0 <= i < num_blocks)
    if foreign:
        raise ValueError(f'{what} {foreign}: there are {num_blocks} blocks, 0 to {num_blocks - 1}')
