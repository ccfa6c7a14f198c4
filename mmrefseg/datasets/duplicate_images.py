"""Finding copies of pictures: the same file first, then what looks nearly the same."""
from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import cv2
import numpy as np

from .transforms.loading import decode_image, image_bytes

NEAR = 4
"""Bits in which the hashes of two pictures that look nearly the same may differ."""

MOST_COPIES = 100_000
"""Pairs that are told; of ten thousand blank pictures in each of two sets there would be a hundred million."""

_HASHED_SIDE, _KEPT_SIDE = 32, 8
_ONES = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


class Fingerprint(NamedTuple):
    """By what copies of a picture are known.

    Args:
        name: the file's name or path.
        sha256: of its content, in hexadecimal digits.
        hash: see :func:`perceptual_hash`.
    """

    name: str
    sha256: str
    hash: int


class Copy(NamedTuple):
    """Two pictures that are one.

    Args:
        first: one of them.
        second: the other.
        is_exact: whether their files are the same, byte by byte.
    """

    first: Fingerprint
    second: Fingerprint
    is_exact: bool


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits that copies of a picture share but for a few, whatever their size and quality.

    The picture is made grey and 32×32 pixels large; of its cosine transform the 8×8 coefficients of the lowest
    frequencies are kept, and each gives a 1 where it is above their median.

    Args:
        image: RGB uint8 (H, W, 3).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_HASHED_SIDE, _HASHED_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    lowest = cv2.dct(small)[:_KEPT_SIDE, :_KEPT_SIDE]
    return int.from_bytes(np.packbits(lowest > np.median(lowest)).tobytes(), 'big')


def fingerprint_of(content: bytes, image: np.ndarray, name: str) -> Fingerprint:
    """By what copies of a picture are known.

    Args:
        content: what its file holds.
        image: what that shows, RGB uint8 (H, W, 3).
        name: the file's name or path.
    """
    return Fingerprint(name, hashlib.sha256(content).hexdigest(), perceptual_hash(image))


def read_fingerprint(path: str) -> Fingerprint:
    """By what copies of a picture are known, its name being its path.

    Args:
        path: the file, or the address of an image in an LMDB file.

    Raises:
        MissingInputError: there is no such file.
        FileError: it cannot be read.
        InputError: it is no whole image.
    """
    content = image_bytes(path)
    return fingerprint_of(content, decode_image(content, path), path)


def find_copies(first: Iterable[Fingerprint], second: Sequence[Fingerprint]) -> list[Copy]:
    """Pairs of pictures of two sets that are one: those of the same content first, then those that look it.

    At most :data:`MOST_COPIES` are told.

    Args:
        first: pictures.
        second: others.
    """
    first, by_content = list(first), defaultdict(list)
    for picture in second:
        by_content[picture.sha256].append(picture)
    exact = (Copy(picture, other, True) for picture in first for other in by_content[picture.sha256])
    return list(islice(chain(exact, _near(first, second)), MOST_COPIES))


def _near(first: Iterable[Fingerprint], second: Sequence[Fingerprint]) -> Iterator[Copy]:
    hashes = np.array([picture.hash for picture in second], np.uint64)
    for picture in first:
        different = (hashes ^ np.uint64(picture.hash)).view(np.uint16).reshape(-1, 4)
        for index in np.flatnonzero(_ONES[different].sum(axis=1) <= NEAR):
            if second[index].sha256 != picture.sha256:
                yield Copy(picture, second[index], False)
