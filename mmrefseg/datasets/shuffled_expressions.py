"""The text-blind control: the right questions, asked of the wrong images."""
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from torch.utils.data import Dataset

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS

from .seeding import seeded


@DATASETS.register_module()
class ShuffledExpressions(Dataset):
    """Gives every sample the expression of another sample; image, ground truth and ids stay.

    A model that reads its expressions must fall far below its score here; one that finds the salient object
    whatever is asked does not. Each expression is used once. It comes from a different image and reads differently
    from the sample's own, where the data permit it (a warning tells how often they did not).

    Args:
        dataset: a data set whose samples have one ``text`` each (``unit='sentence'``), or its config.
        seed: the same seed gives the same exchange. Default 0.
        lazy_init: whether to wait with loading until the first sample is asked for. Default False.

    Raises:
        InputError: the data set has no ``text``, or fewer than two samples.
    """

    def __init__(self, dataset: BaseDataset | dict, seed: int = 0, lazy_init: bool = False) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed
        self._partners: np.ndarray | None = None
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Meta information of the data set inside."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Load the data set inside and draw the exchange."""
        if self._partners is not None:
            return
        self.dataset.full_init()
        size = len(self.dataset)
        if size < 2 or 'text' not in self.dataset.get_data_info(0):
            raise InputError("ShuffledExpressions needs at least two samples with one expression each: set "
                             f"unit='sentence' in the data set inside, which has {size} samples.")
        images, texts = [], []
        for info in map(self.dataset.get_data_info, range(size)):  # one at a time: only two of its values are kept
            images.append(info['image_id'])
            texts.append(info['text'].strip().lower())
        self._partners = exchange(images, texts, self.seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def get_data_info(self, idx: int) -> dict:
        """A sample with the ``text`` and ``kind`` of its partner.

        Args:
            idx: the sample's index.
        """
        self.full_init()
        info, partner = self.dataset.get_data_info(idx), self.dataset.get_data_info(self._partners[idx])
        return {**info, 'text': partner['text'], 'kind': partner['kind']}

    def __getitem__(self, idx: int) -> Any:
        with seeded(idx):
            return self.dataset.pipeline(self.get_data_info(idx))


def exchange(images: Sequence, texts: Sequence[str], seed: int) -> np.ndarray:
    """Draw a permutation that leaves no sample in place, and avoids partners of the same image or the same text.

    Args:
        images: image of each of the N samples.
        texts: expression of each sample.
        seed: seed of the draw.

    Returns:
        (N,) integers; the partner of each sample.
    """
    image, text = (np.unique(values, return_inverse=True)[1] for values in (images, texts))
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(texts))
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)

    def fits(sample: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (image[sample] != image[other]) & (text[sample] != text[other])

    everyone = np.arange(len(texts))
    for sample in np.flatnonzero(~fits(everyone, partner)):
        swaps = np.flatnonzero(fits(sample, partner) & fits(everyone, partner[sample]))
        if len(swaps) and not fits(sample, partner[sample]):
            other = generator.choice(swaps)
            partner[[sample, other]] = partner[[other, sample]]

    unfit = np.count_nonzero(~fits(everyone, partner))
    if unfit:
        print_log(f'{unfit} of {len(texts)} expressions could not be exchanged for a different one of a different '
                  'image, and went to an image or a text of their own.', 'current', logging.WARNING)
    return partner
