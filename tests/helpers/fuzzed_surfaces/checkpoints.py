"""Checkpoints, and the state of a training that goes on from one."""
from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from helpers.fuzzing import mutate
from helpers.toy_runner import toy_runner
from helpers.value_mutation import change_values
from mmengine.logging import HistoryBuffer
from torch import nn

from mmrefseg.checkpoints.module_weights import load_weights
from mmrefseg.checkpoints.reading import load_from_local

from .damaged_files import Attempt

FORMATS = ('zip', 'legacy', 'safetensors')


def _model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def whole_file(kind):
    state = _model().state_dict()
    if kind == 'safetensors':
        return safetensors.torch.save(state)
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    content = io.BytesIO()
    torch.save(dict(meta=dict(epoch=1, iter=2, dataset_meta=dict(palette=np.ones(3, np.uint8))), state_dict=state,
                    message_hub=dict(log_scalars=dict(loss=history), runtime_info={}, resumed_keys=dict(loss=True))),
               content, _use_new_zipfile_serialization=kind == 'zip')
    return content.getvalue()


def reader(folder, kind):
    path = Path(folder, 'a.safetensors' if kind == 'safetensors' else 'a.pth')

    def read(content):
        path.write_bytes(content)
        checkpoint = load_from_local(str(path))
        load_weights(_model(), checkpoint.get('state_dict', checkpoint), str(path))
        return checkpoint

    return read


SCHEDULE = [dict(type='LinearLR', start_factor=0.1, begin=0, end=2, by_epoch=False),
            dict(type='MultiStepLR', milestones=[3], by_epoch=False),
            dict(type='CosineAnnealingLR', eta_min=0.0, T_max=6, begin=0, end=6, by_epoch=False)]


def train(folder, max_iters, **kwargs):
    """Train with averaged weights and several schedules."""
    runner = toy_runner(
        folder, param_scheduler=SCHEDULE, train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        custom_hooks=[dict(type='LoadCheckpointHook'), dict(type='EMAHook')], **kwargs)
    runner.train()
    return runner


def resume(folder, checkpoint):
    torch.save(checkpoint, folder / 'changed.pth')
    return train(folder, 4, resume=True, load_from=str(folder / 'changed.pth'))


def checkpoints(kind: str, folder: Path) -> Attempt:
    content, read = whole_file(kind), reader(folder, kind)
    return lambda seed: read(mutate(content, seed))


def resumed(folder: Path) -> Attempt:
    train(folder, 2)
    saved = load_from_local(folder / 'iter_2.pth')

    def attempt(seed):
        assert resume(folder, change_values(saved, seed, 0 if seed is None else None)).iter == 4

    return attempt
