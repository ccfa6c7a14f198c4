"""Asking a runner's model single samples of a data set."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmrefseg.datasets import LoadReferringImage
from mmrefseg.structures import RefSegDataSample


def spread_indices(total: int, number: int) -> list[int]:
    """Indices of samples at equal distances, the first and the last among them; always the same.

    Args:
        total: number of samples.
        number: how many to choose; all, if there are no more.
    """
    return [round(value) for value in np.linspace(0, total - 1, min(number, total)).tolist()]


@torch.no_grad()
def answered_samples(runner: Runner, dataloader: DataLoader,
                     indices: Sequence[int]) -> Iterator[tuple[np.ndarray, RefSegDataSample]]:
    """Answer single samples, in this process alone.

    Args:
        runner: with the model.
        dataloader: with the data set.
        indices: of samples of that.

    Yields:
        The image as it is stored or upright, RGB uint8 (H, W, 3), as its data set says, and the answered sample.
    """
    model, dataset = runner.model, dataloader.dataset
    was_training = model.training
    model.eval()
    for index in indices:
        answered = model.test_step(dataloader.collate_fn([dataset[index]]))
        yield LoadReferringImage().transform(dict(dataset.get_data_info(index)))['img'], answered[0]
    model.train(was_training)
