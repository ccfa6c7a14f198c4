"""How the published code of CRIS and DETRIS loads its training data, re-enacted to be measured against."""
from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import lmdb
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmrefseg.datasets.transforms.loading import image_bytes
from mmrefseg.structures import letterbox_matrix
from mmrefseg.structures.mask_formats import draw_mask

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
_LENGTH = b'__len__'


def write_published_lmdb(path: str | Path, referents: Iterable[Mapping]) -> None:
    """Write a pickled record for each referent, with a copy of its image and its mask as a PNG.

    The published code serialises by a function that PyArrow no longer has; pickle takes its place.

    Args:
        path: the LMDB file, which must not be there.
        referents: with ``img_path``, ``height``, ``width``, ``segmentation`` and ``sentences``.
    """
    number = 0
    with lmdb.open(str(path), subdir=False, map_size=1 << 40, sync=False) as environment:
        for referent in referents:
            mask = 255 * draw_mask(referent['segmentation'], referent['height'], referent['width'])
            record = {
                'img': image_bytes(referent['img_path']),
                'mask': cv2.imencode('.png', mask)[1].tobytes(),
                'sents': [sentence['text'] for sentence in referent['sentences']],
            }
            with environment.begin(write=True) as transaction:
                transaction.put(b'%d' % number, pickle.dumps(record))
            number += 1
        with environment.begin(write=True) as transaction:
            transaction.put(_LENGTH, b'%d' % number)


class PublishedLoader(Dataset):
    """Training samples as CRIS (https://arxiv.org/abs/2111.15174) loads them, and DETRIS
    (https://arxiv.org/abs/2501.08580) after it.

    The ref's own copies of image and mask are decoded and warped into the square, one cubically, the other linearly;
    the image is normalised to float32. Before normalisation it equals that of :class:`~mmrefseg.datasets.Letterbox`,
    and the mask, cut at one half, equals its mask. The published loader also tokenises the expression; here it stays
    text, as ours does, so that the two do the same work.

    A sample is the image, float32 (3, size, size); the expression; the mask, float32 (size, size), from 0 to 1.

    Args:
        path: what :func:`write_published_lmdb` wrote in the same run. It is unpickled: never open anybody else's.
        size: side of the square in pixels.
    """

    def __init__(self, path: str | Path, size: int) -> None:
        self.path = str(path)
        self.size = size
        self._mean, self._std = torch.tensor(_MEAN).reshape(3, 1, 1), torch.tensor(_STD).reshape(3, 1, 1)
        with self._open() as environment, environment.begin() as transaction:
            self._length = int(transaction.get(_LENGTH))
        self._environment: lmdb.Environment | None = None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple[Tensor, str, Tensor]:
        if self._environment is None:
            self._environment = self._open()
        with self._environment.begin() as transaction:
            record = pickle.loads(transaction.get(b'%d' % index))  # noqa: S301 - written by this very run
        img = cv2.cvtColor(_decode(record['img'], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        matrix, square = letterbox_matrix(*img.shape[:2], self.size), (self.size, self.size)
        img = cv2.warpAffine(img, matrix, square, flags=cv2.INTER_CUBIC, borderValue=[255 * mean for mean in _MEAN])
        mask = cv2.warpAffine(_decode(record['mask'], cv2.IMREAD_GRAYSCALE), matrix, square, flags=cv2.INTER_LINEAR)
        text = record['sents'][np.random.randint(len(record['sents']))]
        inputs = torch.from_numpy(img.transpose(2, 0, 1)).float().div_(255).sub_(self._mean).div_(self._std)
        return inputs, text, torch.from_numpy(mask / 255).float()

    def _open(self) -> lmdb.Environment:
        return lmdb.open(self.path, subdir=False, readonly=True, lock=False, readahead=False, meminit=False)


def _decode(content: bytes, flags: int) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
