"""A model of a frozen pretrained part and a part that trains, to test what happens to the weights of each."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import Runner
from torch import Tensor, nn

from mmrefseg.registry import MODELS

from .toy_runner import toy_runner


class ToyBackbone(BaseModule):
    """Two numbers in, three out; all is frozen but a bias, and the statistics of its normalisation move.

    Args:
        init_cfg: initialisation config of mmengine. Default None.
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.linear = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer('scale', torch.rand(3))
        self.requires_grad_(False)
        self.linear.bias.requires_grad_(True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2) → (B, 3)."""
        return self.norm(self.linear(x)) * self.scale


@MODELS.register_module()
class ToyPretrainedModel(BaseModel):
    """Learns to map numbers to 0.

    Args:
        checkpoint: pretrained file of the backbone. Default None: random weights.
        dropout: probability of dropping a channel. Default 0.
    """

    def __init__(self, checkpoint: str | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = ToyBackbone(dict(type='Pretrained', checkpoint=checkpoint) if checkpoint else None)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(3, 1))

    def forward(self, x: Sequence[Tensor], mode: str = 'tensor') -> dict[str, Tensor] | list[Tensor]:
        """The loss in mode ``loss``, else the outputs."""
        outputs = self.head(self.backbone(torch.stack(list(x))))
        return {'loss': outputs.square().mean()} if mode == 'loss' else list(outputs)


def save_toy_weights(path: Path, seed: int = 7) -> str:
    """Write a pretrained file of :class:`ToyBackbone`; returns its path."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save(ToyBackbone().state_dict(), path)
    return str(path)


def toy_pretrained_runner(work_dir: Path,
                          checkpoint: str | None = None,
                          dropout: float = 0.0,
                          checkpoint_hook: dict | None = None,
                          **kwargs: Any) -> Runner:
    """A runner of :func:`toy_runner` for :class:`ToyPretrainedModel` that saves only what it trained.

    Args:
        work_dir: its folder.
        checkpoint: pretrained file of the backbone. Default None: random weights.
        dropout: of the model. Default 0.
        checkpoint_hook: settings of the checkpoint hook. Default None: every second iteration.
        **kwargs: passed to :func:`toy_runner`.

    Returns:
        The runner.
    """
    model = dict(type='ToyPretrainedModel', checkpoint=checkpoint, dropout=dropout)
    hook = dict(type='AtomicCheckpointHook', interval=2, by_epoch=False, trained_only=True) | (checkpoint_hook or {})
    hooks = dict(load_checkpoint=dict(type='LoadCheckpointHook'), checkpoint=hook)
    return toy_runner(work_dir, **{'model': model, 'cfg': dict(model=model), 'default_hooks': hooks, **kwargs})
