"""Training the whole tiny model: gradients, mixed precision, several processes."""
import copy

import pytest
import torch
import torch.distributed as dist
from helpers.distributed import run_distributed
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg.engine.optimizers import BFloat16OptimWrapper
from mmrefseg.models.layers import ExpertMixture
from mmrefseg.registry import MODELS


def test_adapters_start_near_identity(tiny_config, make_batch):
    """Initialised as a runner does it, the backbone gives the maps of the same one without adapters."""
    model = MODELS.build(tiny_config)
    model.init_weights()
    plain = MODELS.build({**tiny_config.backbone, 'adapter': None})
    plain.load_state_dict(model.backbone.state_dict(), strict=False)
    model.eval()
    data = model.data_preprocessor(make_batch())
    text = model.text_encoder(data['token_ids'], data['token_mask'])
    plain.eval()
    for found, frozen in zip(model.backbone(data['inputs'], text), plain(data['inputs']), strict=True):
        assert (found - frozen).norm() < 0.01 * frozen.norm()


def mixtures(model):
    return {module.router.name: module for module in model.modules() if isinstance(module, ExpertMixture)}


def gradient_sizes(model):
    """Largest gradient of every weight matrix in an adapter or a mixture of experts."""
    parts = [*model.backbone.adapters.values(), *model.text_encoder.adapters.values(), *mixtures(model).values()]
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(p)]: p.grad.abs().max().item() for part in parts for p in part.parameters() if p.ndim > 1}


def test_gradients_reach_every_expert_and_router_within_two_steps(tiny_config, make_batch):
    model = MODELS.build(tiny_config)
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    model.train_step(make_batch(), optimizer)
    # in the first step the adapters' last projections are zero and hold everything before them back
    losses = model(**model.data_preprocessor(make_batch()), mode='loss')
    model.parse_losses(losses)[0].backward()
    sizes = gradient_sizes(model)
    assert len(sizes) > 60
    assert not [name for name, size in sizes.items() if size < 1e-9]
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize('changes', [
    {'backbone.adapter': None, 'neck.experts': ()},
    {'backbone.adapter': None},
    {'neck.experts': ()},
    {'backbone.adapter.experts': ('spatial', ), 'neck.experts': ('shape', 'boundary'), 'neck.top_k': 1},
    {'backbone.adapter.top_k': 1, 'neck.top_k': 2, 'routing_losses': []},
])
def test_every_parameter_of_an_ablation_has_a_gradient(tiny_config, make_batch, changes):
    """Or DDP would wait for one."""
    config = Config(tiny_config.to_dict())
    config.merge_from_dict(changes)
    model = MODELS.build(config)
    losses = model(**model.data_preprocessor(make_batch()), mode='loss')
    model.parse_losses(losses)[0].backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    routed = len(mixtures(model)) > 0 and len(model.routing_losses) > 0
    assert ('loss_router_z' in losses) == routed


def test_no_router_is_stuck(tiny_config, make_batch):
    """The mask loss alone moves every router, without the routing losses."""
    tiny_config.routing_losses = []
    tiny_config.neck.noise_std = 0
    model = MODELS.build(tiny_config)
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    before = {name: copy.deepcopy(mixture.router.state_dict()) for name, mixture in mixtures(model).items()}
    for _ in range(4):
        model.train_step(make_batch(), optimizer)
    for name, mixture in mixtures(model).items():
        for key, value in mixture.router.state_dict().items():
            assert (value - before[name][key]).abs().max() > 1e-4, (name, key)


@pytest.mark.parametrize('wrapper', [OptimWrapper, BFloat16OptimWrapper])
@pytest.mark.parametrize('top_k', [1, 4])
def test_it_learns_a_batch(tiny_config, make_batch, wrapper, top_k):
    tiny_config.neck.top_k = top_k
    model = MODELS.build(tiny_config)
    optimizer = wrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    logs = [model.train_step(make_batch(), optimizer) for _ in range(25)]
    assert all(log['loss'].isfinite() for log in logs)
    assert logs[-1]['decode.loss_ce'] < 0.6 * logs[0]['decode.loss_ce']
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_compiled_losses_and_gradients(tiny_config, make_batch):
    """One graph of forward pass and losses, with sparse routers; eager, these leave out what is not chosen."""
    config = Config(tiny_config.to_dict())
    config.merge_from_dict({
        'text_encoder.adapter': None, 'text_encoder.arch.text_cfg.layers': 1, 'backbone.depth': 2,
        'backbone.out_indices': (0, 1), 'backbone.adapter.indices': (1, ), 'backbone.adapter.top_k': 1,
        'neck.in_channels': (96, 96), 'neck.top_k': 2, 'neck.noise_std': 0, 'decode_head.dropout': 0})
    model = MODELS.build(config)
    data = model.data_preprocessor(make_batch(), True)
    found = []
    for run in (model.forward, torch.compile(model.forward, backend='eager', fullgraph=True)):
        model.zero_grad()
        total, log = model.parse_losses(run(**data, mode='loss'))
        total.backward()
        found.append((log, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}))
    (log, gradients), (compiled_log, compiled_gradients) = found
    assert log.keys() == compiled_log.keys() and len(log) > 3
    for name, value in log.items():
        torch.testing.assert_close(compiled_log[name], value, atol=1e-5, rtol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(compiled_gradients[name], gradient, atol=1e-5, rtol=1e-3)
    with torch._dynamo.config.patch(error_on_recompile=True):  # other samples take the same graph
        run(**model.data_preprocessor(make_batch(('a green heart', 'left one')), True), mode='loss')


def test_only_tuned_parameters_change(tiny_config, make_batch):
    for part in (tiny_config.text_encoder, tiny_config.backbone):
        part.tuning = 'norm_bias'
    model = MODELS.build(tiny_config)
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    for _ in range(2):
        model.train_step(make_batch(), optimizer)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert changed <= trainable
    assert 'backbone.tower.blocks.0.attn.qkv.weight' not in trainable
    assert {'backbone.tower.blocks.0.norm1.weight', 'backbone.tower.blocks.0.attn.qkv.bias',
            'text_encoder.tower.ln_final.weight', 'backbone.adapters.1.down.weight'} <= changed


def train_a_rank(config: dict, batches: list[dict]) -> None:
    """Three steps on the rank's own sample, on which three of four experts have nothing to do; so has one adapter's."""
    rank = dist.get_rank()
    mmrefseg.register_all_modules(init_default_scope=False)
    torch.manual_seed(rank)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(config)
    wrapped = MMDistributedDataParallel(model, device_ids=None)
    assert not wrapped.find_unused_parameters
    optimizer = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-3))
    for _ in range(3):
        log = wrapped.train_step(copy.deepcopy(batches[rank]), optimizer)
        assert log['loss'].isfinite()
    for name, parameter in model.named_parameters():
        gathered = [torch.empty_like(parameter) for _ in batches]
        dist.all_gather(gathered, parameter.detach())
        assert torch.equal(gathered[0], gathered[1]), name


def test_two_processes_with_idle_experts(tiny_config, make_batch, tmp_path):
    tiny_config.neck.top_k = tiny_config.backbone.adapter.top_k = 1
    batches = [make_batch((text, )) for text in ('red circle', 'blue square')]
    batches[1]['inputs'][0] = batches[1]['inputs'][0].flip(1)
    run_distributed(train_a_rank, tmp_path, tiny_config.to_dict(), batches)
