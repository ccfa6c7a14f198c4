"""Asking a runner's model single samples of a data set."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmrefseg.datasets import LoadReferringImage
from mmrefseg.structures import RefSegDataSample


def spread_places(total: int, number: int) -> list[int]:
    """Places of samples at equal distances, the first and the last among them; always the same.

    Args:
        total: number of samples.
        number: how many to choose; all, if there are no more.
    """
    return [round(place) for place in np.linspace(0, total - 1, min(number, total)).tolist()]


@torch.no_grad()
def answered_samples(runner: Runner, dataloader: DataLoader,
                     places: Sequence[int]) -> Iterator[tuple[np.ndarray, RefSegDataSample]]:
    """Answer single samples, in this process alone.

    Args:
        runner: with the model.
        dataloader: with the data set.
        places: of samples of that.

    Yields:
        The image as it is stored or upright, RGB uint8 (H, W, 3), as its data set says, and the answered sample.
    """
    model, dataset = runner.model, dataloader.dataset
    was_training = model.training
    model.eval()
    for place in places:
        answered = model.test_step(dataloader.collate_fn([dataset[place]]))
        yield LoadReferringImage().transform(dict(dataset.get_data_info(place)))['img'], answered[0]
    model.train(was_training)
