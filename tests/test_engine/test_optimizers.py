import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

import mmrefseg
from mmrefseg.engine import BFloat16OptimWrapper


class Watched(BaseModel):
    """Keeps what its forward pass saw of the context around it."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.seen = []

    def forward(self, x, mode='tensor'):
        fused = torch.backends.cuda.flash_sdp_enabled() or torch.backends.cuda.mem_efficient_sdp_enabled()
        output = self.attention(x, x, x, need_weights=False)[0]
        self.seen.append((torch.is_autocast_enabled('cpu'), output.dtype, fused))
        return dict(loss=output.float().square().mean())


@pytest.fixture(autouse=True)
def scope():
    mmrefseg.register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


@pytest.fixture(autouse=True)
def capable(monkeypatch):
    monkeypatch.setattr('mmrefseg.engine.optimizers.bfloat16_optim_wrapper.computes_in_bfloat16', lambda device: True)


def make(model, **kwargs):
    return build_optim_wrapper(model, dict(type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.1), **kwargs))


def test_forward_runs_in_bfloat16_with_plain_attention():
    model = Watched()
    wrapper = make(model)
    assert isinstance(wrapper, BFloat16OptimWrapper)
    model.train_step(dict(x=torch.randn(2, 3, 8)), wrapper)
    model(torch.randn(2, 3, 8))
    assert model.seen == [(True, torch.bfloat16, False), (False, torch.float32, True)]


def test_a_cpu_that_only_imitates_bfloat16_computes_in_float32(monkeypatch):
    monkeypatch.setattr('mmrefseg.engine.optimizers.bfloat16_optim_wrapper.computes_in_bfloat16', lambda device: False)
    model = Watched()
    model.train_step(dict(x=torch.randn(2, 3, 8)), make(model))
    assert model.seen == [(False, torch.float32, True)]


def test_the_context_ends_with_an_error():
    model = Watched()
    with pytest.raises(ZeroDivisionError), make(model).optim_context(model):
        raise ZeroDivisionError
    assert not torch.is_autocast_enabled('cpu')
    assert torch.backends.cuda.flash_sdp_enabled()


def test_a_step_is_that_of_float32_but_for_rounding():
    torch.manual_seed(0)
    exact, rough = Watched(), Watched()
    rough.load_state_dict(exact.state_dict())
    x = torch.randn(4, 3, 8)
    exact.train_step(dict(x=x), build_optim_wrapper(exact, dict(optimizer=dict(type='SGD', lr=0.1))))
    rough.train_step(dict(x=x), make(rough))
    for a, b in zip(exact.parameters(), rough.parameters(), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-2)


def test_options_of_mmengine_still_hold():
    """Two batches per step, and a clipped gradient: nothing moves at the first, and at most lr · norm at the second."""
    model = Watched()
    wrapper = make(model, accumulative_counts=2, clip_grad=dict(max_norm=1e-3))
    wrapper.initialize_count_status(model, 0, 4)
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    moves = []
    for _ in range(2):
        model.train_step(dict(x=torch.randn(2, 3, 8)), wrapper)
        moves.append((nn.utils.parameters_to_vector(model.parameters()) - before).norm().item())
    assert moves[0] == 0
    assert moves[1] == pytest.approx(0.1 * 1e-3, rel=0.01)
