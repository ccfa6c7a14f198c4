"""What a training step takes, traced without values, against what a real one takes."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.engine import training_cost
from mmrefseg.engine.training_cost import input_size, step_cost, warn_of_memory, weights_memory
from mmrefseg.utils import collect_env

CONFIG = 'segvlm_tiny_refshapes'


@pytest.fixture(scope='module')
def config():
    return read_config(CONFIG)


@pytest.fixture(scope='module')
def model(config):
    torch.manual_seed(0)
    return build_model(config)


@pytest.fixture(scope='module')
def cost(config, model):
    return step_cost(model, input_size(config))


def real_step(model, size, batch):
    """Operations, and bytes that are kept."""
    ids, mask = model.text_encoder.tokenize([training_cost._EXPRESSION] * batch)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor  # held, so that its place is not taken by another
        return tensor

    counter = FlopCounterMode(display=False, custom_mapping=training_cost._ATTENTION)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = model.train()(torch.zeros(batch, 3, size, size), training_cost._samples(size)[:1] * batch, ids, mask,
                               mode='loss')
        model.parse_losses(losses)[0].backward()
    return counter.get_total_flops(), sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_cost_against_a_real_step(config, model, cost):
    assert input_size(config) == 128
    flops, kept = real_step(model, 128, 2)
    assert cost.flops * 2 == flops
    assert cost.activations * 2 == pytest.approx(kept, rel=0.02)
    flops, kept = real_step(model, 128, 4)  # what a sample takes doesn't depend on how many there are
    assert cost.flops * 4 == flops
    assert cost.activations * 4 == pytest.approx(kept, rel=0.1)


def test_the_model_stays_as_it_is(model):
    model.eval()
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    model.zero_grad()
    step_cost(model, 64)
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_mixed_precision_keeps_less(model, cost):
    mixed = step_cost(model, 128, torch.autocast('cpu', torch.bfloat16))
    assert mixed.activations < cost.activations and mixed.flops == cost.flops


def test_what_depends_on_values_is_not_known(model, monkeypatch):
    head = model.decode_head
    monkeypatch.setattr(head, 'forward', lambda *args: head.logits if args[0][0].sum() > 0 else None)
    assert step_cost(model, 128) is None


@pytest.mark.parametrize(('optimizer', 'per_weight'), [
    ('AdamW', 3), ('mmrefseg.Adam', 3), ('SGD', 1), (torch.optim.Adam, 3)])
def test_weights(optimizer, per_weight):
    model = nn.Sequential(nn.Linear(9, 10), nn.BatchNorm1d(10))  # 120 parameters, 20 statistics and a counter
    model[0].requires_grad_(False)
    memory = weights_memory(model, Config(dict(optim_wrapper=dict(optimizer=dict(type=optimizer)))))
    assert memory == (4 * 140 + 8, 4 * 20 * per_weight, 0)
    assert memory._replace(activations=1000.0).total == training_cost.PROCESS + 568 + 80 * per_weight + 1000


@pytest.fixture
def warnings(config, model, monkeypatch):
    """What is said at a start on a machine of so many bytes, in so many processes."""
    logger, said = MMLogger.get_instance('memory'), []
    monkeypatch.setattr(logger, 'handle', lambda record: said.append(record.getMessage()))
    monkeypatch.setattr(training_cost, 'step_cost', lambda *args: training_cost.StepCost(0, 1e9))

    def start(memory, processes, rank=0, model=model, batch=4):
        monkeypatch.setattr(training_cost, 'machine_memory', lambda: memory)
        monkeypatch.setenv('LOCAL_WORLD_SIZE', str(processes))
        monkeypatch.setenv('LOCAL_RANK', str(rank))
        said.clear()
        warn_of_memory(SimpleNamespace(
            model=model, cfg=config, train_dataloader=SimpleNamespace(batch_size=batch),
            optim_wrapper=SimpleNamespace(optim_context=lambda model: None)))
        return said

    return start


def test_warning(warnings, model, monkeypatch):
    monkeypatch.setattr(training_cost, '_NEGLIGIBLE', 1e9)
    text, = warnings(int(16e9), 4)
    weights = weights_memory(model, read_config(CONFIG))
    each = (training_cost.PROCESS + weights.weights + weights.trained + 4e9) / 1e9
    assert f'4 processes take at least {4 * each:.1f} GB in all, each at least {each:.1f} GB' in text
    assert '4.0 GB activations of a batch of 4), and there are 16.0 GB' in text
    assert 'Start fewer processes, or set a smaller train_dataloader.batch_size' in text
    text, = warnings(int(4e9), 1)
    assert 'processes take' not in text and 'Set a smaller train_dataloader.batch_size' in text


def test_no_warning(warnings, monkeypatch):
    assert not warnings(int(5e9), 1, batch=8)  # the weights are so small that nothing is traced
    monkeypatch.setattr(training_cost, '_NEGLIGIBLE', 1e9)
    assert not warnings(int(30e9), 4)
    assert not warnings(int(16e9), 4, rank=1)  # once per machine
    assert not warnings(int(16e9), 4, batch=None)
    assert not warnings(int(16e9), 4, model=nn.Linear(2, 2))


def test_memory_of_a_container(tmp_path, monkeypatch):
    whole = collect_env.machine_memory()
    limit, other = tmp_path / 'memory.max', tmp_path / 'limit_in_bytes'
    monkeypatch.setattr(collect_env, 'CGROUP_LIMITS', (limit, other))
    limit.write_text('max\n')
    assert 0 < whole <= collect_env.machine_memory()
    other.write_text('1000000\n')
    assert collect_env.machine_memory() == 1000000
