from types import SimpleNamespace

import torch
from helpers.distributed import run_distributed
from mmengine.dist import get_rank
from torch import nn

from mmrefseg.engine import BroadcastBuffersHook


def validate_on_this_rank():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    nn.init.constant_(model[0].bias, get_rank())
    model[1].running_mean.fill_(get_rank() + 1)
    BroadcastBuffersHook().before_val_epoch(SimpleNamespace(model=model))
    assert model[1].running_mean.tolist() == [1, 1]
    assert model[0].bias.tolist() == [get_rank()] * 2, 'parameters are not its business'


def test_all_ranks_get_the_first_ones_buffers(tmp_path):
    run_distributed(validate_on_this_rank, tmp_path)


def test_one_process_is_left_alone():
    model = nn.BatchNorm2d(2)
    before = torch.clone(model.running_mean)
    BroadcastBuffersHook().before_val_epoch(SimpleNamespace(model=model))
    assert torch.equal(model.running_mean, before)
