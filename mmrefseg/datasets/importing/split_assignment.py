"""Splits by groups of images, never by expressions."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from mmrefseg.errors import InputError
from mmrefseg.utils.safe_names import split_name

DEFAULT_SHARES = {'train': 0.8, 'val': 0.1, 'test': 0.1}
"""Split → share of the images."""


def parse_shares(words: Sequence[str]) -> dict[str, float]:
    """Shares as a command line has them.

    Args:
        words: such as ``['train=0.9', 'val=0.1']``.

    Returns:
        Split → share, which sum up to 1.

    Raises:
        InputError: a word is no such thing, or they sum up to something else.
    """
    shares = {}
    for word in words:
        name, _, share = word.partition('=')
        try:
            shares[split_name(name, 'a split')] = float(share)
        except ValueError:
            raise InputError(f'a split must be written as train=0.8, got {word!r}') from None
    if not all(0 < share <= 1 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f'the shares of the splits must be above 0 and sum up to 1, got {" ".join(words)}')
    return shares


def assign(groups: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign groups of images to splits, so that shares of images come near to what is asked for.

    The groups are shuffled by the seed; each goes where the most images are missing.

    Args:
        groups: key of a group → number of its images.
        shares: split → share.
        seed: another seed makes other splits.

    Returns:
        Key of a group → split.
    """
    total = sum(groups.values())
    missing = {split: share * total for split, share in shares.items()}
    splits = {}
    for key in sorted(groups, key=lambda key: hashlib.sha256(f'{seed}/{key}'.encode()).digest()):
        split = max(missing, key=missing.get)
        splits[key] = split
        missing[split] -= groups[key]
    return splits
