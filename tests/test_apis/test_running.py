import pytest
import torch
from helpers.toy_runner import ToyDataset, ToyMetric, toy_runner
from mmengine.config import Config
from mmengine.evaluator import Evaluator

from mmrefseg.apis.running import run_test


@pytest.mark.parametrize(('amp', 'dtype'), [(False, torch.float32), (True, torch.bfloat16)])
def test_mixed_precision_reaches_the_model(tmp_path, amp, dtype):
    runner = toy_runner(tmp_path, cfg=Config(dict(test_cfg=dict(type='TestLoop'))))
    runner.call_hook('before_run')
    seen = set()
    runner.model.linear.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    loader = dict(dataset=ToyDataset(), batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False))
    assert run_test(runner, loader, Evaluator(ToyMetric([7.0])), amp) == {'mIoU': 7.0}
    assert seen == {dtype}
