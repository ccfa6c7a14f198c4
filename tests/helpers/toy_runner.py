"""A runner that trains two parameters, to test what happens around a model."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

# mmengine keeps what it logs in objects that runners of one name share.
_names = (f'toy_{number}' for number in count())


class ToyModel(BaseModel):
    """Learns to map numbers to 0.

    Args:
        channels: numbers per sample. Default 2.
    """

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 1)

    def forward(self, x: Sequence[Tensor], mode: str = 'tensor') -> dict[str, Tensor] | list[Tensor]:
        """The loss in mode ``loss``, else the outputs."""
        outputs = self.linear(torch.stack(list(x)))
        return {'loss': outputs.square().mean()} if mode == 'loss' else list(outputs)


class ToyDataset(Dataset):
    """Sixteen samples of two numbers."""

    metainfo = dict(classes=('referent', ))

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'x': torch.tensor([index / 16, 1.0])}


class ToyMetric(BaseMetric):
    """Gives the scores it was made with, one an evaluation.

    Args:
        scores: the scores to come.
    """

    default_prefix = ''

    def __init__(self, scores: Sequence[Any]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the samples."""
        self.results += [None for _ in data_samples]

    def compute_metrics(self, results: list) -> dict[str, Any]:
        """The next score as ``mIoU``."""
        return {'mIoU': next(self.scores)}


def toy_runner(work_dir: Path, scores: Sequence[Any] = (), by_epoch: bool = False, **kwargs: Any) -> Runner:
    """Build a runner of four iterations or two epochs, with a checkpoint every second iteration or epoch.

    Args:
        work_dir: its folder.
        scores: scores of the validations, which come with the checkpoints. Default (): no validation.
        by_epoch: whether epochs count. Default False.
        **kwargs: arguments of the runner, instead of those here.

    Returns:
        The runner.
    """
    loader = dict(dataset=ToyDataset(), batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    if by_epoch:
        train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
    else:
        train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
    checkpoint = dict(type='AtomicCheckpointHook', interval=1 if by_epoch else 2, by_epoch=by_epoch)
    validation = dict(val_dataloader=loader, val_cfg={}, val_evaluator=Evaluator(ToyMetric(scores)))
    settings = dict(
        model=ToyModel(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=train_cfg,
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        default_hooks=dict(checkpoint=checkpoint),
        default_scope='mmrefseg',
        experiment_name=next(_names),
        log_level='ERROR',
        randomness=dict(seed=0))
    return Runner(**{**settings, **(validation if scores else {}), **kwargs})
