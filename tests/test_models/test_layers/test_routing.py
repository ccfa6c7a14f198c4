import math

import pytest
import torch
from torch import nn

from mmrefseg.models.layers import ExpertMixture, Router, RoutingInfo, choose_experts
from mmrefseg.models.necks.sera_fusion import fusion_experts

NAMES = ('a', 'b', 'c', 'd')


class Shift(nn.Module):
    """A linear expert that counts the samples it sees."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return self.conv(x)


def make_mixture(top_k, experts=None, channels=6, **kwargs):
    experts = experts or {name: Shift(channels) for name in NAMES}
    return ExpertMixture(experts, Router(channels, tuple(experts), 'test', top_k=top_k, **kwargs))


def compute_all_and_mask(mixture, grid):
    """The published formula a sample at a time: every expert computed, softmax over the best ``top_k``."""
    router, rows, all_weights = mixture.router, [], []
    for sample in grid:
        logits = router.score(sample.mean(dim=(1, 2)))
        order = logits.argsort(descending=True)[:router.top_k].tolist()
        exponentials = {i: (logits[i] - logits.max()).exp() for i in order}
        total = sum(exponentials.values())
        weights = [exponentials[i] / total if i in order else torch.tensor(0.0) for i in range(len(router.experts))]
        outputs = [expert(sample[None])[0] for expert in mixture.experts.values()]
        rows.append(sum(weight * output for weight, output in zip(weights, outputs, strict=True)))
        all_weights.append(torch.stack(weights))
    return torch.stack(rows), torch.stack(all_weights)


def gradients(module, grid, output):
    """Of every parameter and of the map, for a sum that weights each number of the output differently."""
    named = {'grid': grid, **dict(module.named_parameters())}
    weights = torch.linspace(-0.1, 0.1, output.numel()).view_as(output)
    return dict(zip(named, torch.autograd.grad((output * weights).sum(), list(named.values())), strict=True))


def assert_equal_to_1e6(found, expected, name):
    """To 1e-6, or to 1e-6 of the largest absolute value where that is above 1."""
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max().clamp(min=1), name


@pytest.mark.parametrize('top_k', [None, 4, 3, 2, 1])
@pytest.mark.parametrize('hidden_channels', [None, 5])
@pytest.mark.parametrize('of_fusion', [False, True])
def test_mixture_equals_compute_all_and_mask(top_k, hidden_channels, of_fusion):
    experts = fusion_experts(6, num_heads=2) if of_fusion else None
    mixture = make_mixture(top_k, experts, hidden_channels=hidden_channels)
    for parameter in mixture.experts.parameters():
        nn.init.normal_(parameter, std=0.3)  # those of the fusion start as the identity
    grid = torch.randn(5, 6, 2, 3, requires_grad=True)
    output, routing = mixture(grid)
    expected, weights = compute_all_and_mask(mixture, grid)
    assert_equal_to_1e6(output, expected, 'output')
    assert_equal_to_1e6(routing.weights, weights, 'weights')
    found, wanted = gradients(mixture, grid, output), gradients(mixture, grid, expected)
    # a single weight is 1 whatever the logits: the router's own gradient is a rounding error then
    for name in (key for key in wanted if top_k != 1 or not key.startswith('router')):
        assert_equal_to_1e6(found[name], wanted[name], name)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('top_k', [1, 2, 3, 4])
def test_weights(top_k, training):
    router = make_mixture(top_k, noise_std=1.0).router.train(training)
    routing = router(torch.randn(9, 6, 3, 3))
    assert routing.chosen.sum(1).tolist() == [top_k] * 9
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(9))
    assert (routing.weights[~routing.chosen] == 0).all()
    assert (routing.weights[routing.chosen] > 0).all()


def test_sparse_experts_see_only_the_samples_that_chose_them():
    mixture = make_mixture(2)
    _, routing = mixture(torch.randn(8, 6, 3, 3))
    assert [expert.seen for expert in mixture.experts.values()] == routing.chosen.sum(0).tolist()
    assert sum(expert.seen for expert in mixture.experts.values()) == 16


def test_sparse_mixtures_wait_for_the_device_once(monkeypatch):
    waits = []
    for name in ('tolist', 'item', 'nonzero', '__bool__', 'cpu', 'numpy'):
        method = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, *args, name=name, method=method: waits.append(name)
                            or method(self, *args))
    make_mixture(2)(torch.randn(8, 6, 3, 3))
    assert waits == ['tolist']


@pytest.mark.parametrize('top_k', [1, 2, 4])
def test_mixtures_compile_without_a_break(top_k):
    mixture = make_mixture(top_k)
    grid = torch.randn(5, 6, 2, 3)
    expected, routing = mixture(grid)
    output, compiled = torch.compile(mixture, backend='eager', fullgraph=True)(grid)
    torch.testing.assert_close(output, expected)
    assert torch.equal(compiled.weights, routing.weights)


@pytest.mark.parametrize('training', [True, False])
def test_experts_that_take_batch_statistics_see_all_samples(training):
    experts = {name: nn.Sequential(Shift(6), nn.BatchNorm2d(6) if name == 'b' else nn.Identity()) for name in NAMES}
    mixture = make_mixture(1, experts).train(training)
    grid = torch.randn(8, 6, 3, 3)
    output, routing = mixture(grid)
    chosen = dict(zip(NAMES, routing.chosen.sum(0).tolist(), strict=True))
    assert 0 < chosen['b'] < 8
    assert {name: expert[0].seen for name, expert in experts.items()} == (
        {**chosen, 'b': 8} if training else chosen)
    first = routing.chosen.int().argmax(1).tolist()
    every = [expert(grid) for expert in experts.values()]
    torch.testing.assert_close(output, torch.stack([every[i][n] for n, i in enumerate(first)]))


def test_unused_experts_get_zero_gradients():
    mixture = make_mixture(1)
    with torch.no_grad():
        mixture.router.score.bias[1] = 100.0
    output, routing = mixture(torch.randn(3, 6, 2, 2))
    assert routing.chosen.int().argmax(1).tolist() == [1, 1, 1]
    output.square().sum().backward()
    for name, expert in mixture.experts.items():
        assert expert.seen == (3 if name == 'b' else 0)
        for parameter in expert.parameters():
            assert parameter.grad is not None
            assert parameter.grad.any() == (name == 'b')


def test_noise_only_in_training():
    router = Router(6, NAMES, 'test', top_k=2, noise_std=5.0)
    grid = torch.randn(64, 6, 2, 2)
    plain = router.eval()(grid)
    again = router(grid)
    assert torch.equal(plain.weights, again.weights)
    noisy, other = router.train()(grid), router(grid)
    assert torch.equal(noisy.logits, plain.logits)
    assert not torch.equal(noisy.weights, other.weights)
    assert not torch.equal(noisy.chosen, plain.chosen)
    assert torch.equal(Router(6, NAMES, 'test', noise_std=0.0)(grid).chosen, torch.ones(64, 4, dtype=torch.bool))


@pytest.mark.parametrize('top_k', [None, 2])
def test_choice_and_weights_are_those_of_the_noisy_logits(top_k, monkeypatch):
    router = Router(6, NAMES, 'test', top_k=top_k, noise_std=2.0)
    grid, noise = torch.randn(5, 6, 2, 2), torch.randn(5, 4)
    monkeypatch.setattr(torch, 'randn_like', lambda like: noise.view_as(like))
    routing = router.train()(grid)
    noisy = router.eval()(grid).logits + 2 * noise
    for sample, chosen, weights in zip(noisy.tolist(), routing.chosen, routing.weights, strict=True):
        best = sorted(range(4), key=lambda i: -sample[i])[:top_k or 4]
        total = sum(math.exp(sample[i]) for i in best)
        expected = [math.exp(sample[i]) / total if i in best else 0.0 for i in range(4)]
        assert weights.tolist() == pytest.approx(expected, rel=1e-5)
        assert chosen.tolist() == [i in best for i in range(4)]


def test_size_of_the_noise():
    router = Router(6, ('a', 'b'), 'test', noise_std=0.5)
    nn.init.zeros_(router.score.weight)
    nn.init.zeros_(router.score.bias)
    weights = router(torch.randn(20000, 6, 1, 1)).weights
    difference = (weights[:, 0] / weights[:, 1]).log()
    assert difference.std().item() == pytest.approx(0.5 * 2**0.5, rel=0.05)
    assert difference.mean().item() == pytest.approx(0, abs=0.02)


def test_router_by_hand():
    router = Router(2, ('left', 'right'), 'test')
    with torch.no_grad():
        router.score.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        router.score.bias.copy_(torch.tensor([0.0, 1.0]))
    grid = torch.tensor([[1.0, 3.0], [0.0, 1.0]]).view(1, 2, 1, 2)  # means 2 and 0.5
    routing = router(grid)
    assert routing.logits.tolist() == [[2.0, 2.0]]
    assert routing.weights.tolist() == [[0.5, 0.5]]
    assert (routing.name, routing.experts) == ('test', ('left', 'right'))


def test_two_layer_router_by_loops():
    """Global average pool, hidden layer with ReLU, logits, softmax over all."""
    router = Router(3, NAMES, 'test', hidden_channels=5)
    grid = torch.randn(2, 3, 2, 4)
    first, last = router.score[0], router.score[2]
    routing = router(grid)
    for n in range(2):
        pooled = [sum(grid[n, c, y, x].item() for y in range(2) for x in range(4)) / 8 for c in range(3)]
        hidden = [max(0.0, first.bias[h].item() + sum(first.weight[h, c].item() * pooled[c] for c in range(3)))
                  for h in range(5)]
        logits = [last.bias[e].item() + sum(last.weight[e, h].item() * hidden[h] for h in range(5)) for e in range(4)]
        assert routing.logits[n].tolist() == pytest.approx(logits, abs=1e-6)
        total = sum(math.exp(logit) for logit in logits)
        assert routing.weights[n].tolist() == pytest.approx([math.exp(logit) / total for logit in logits], abs=1e-6)


def test_first_choice():
    logits = torch.tensor([[0.1, 3.0, -1.0], [5.0, 4.0, 4.9]])
    info = RoutingInfo('r', ('a', 'b', 'c'), logits, logits.softmax(1), torch.ones(2, 3, dtype=torch.bool))
    assert info.first_choice().tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize('top_k', [0, 5, -1, 2.5, True, '2'])
def test_impossible_top_k(top_k):
    said = rf"top_k of router 'fusion.0' is {top_k!r}; .*a whole number between 1.*4 \(a, b, c, d\)"
    with pytest.raises(ValueError, match=said):
        Router(6, NAMES, 'fusion.0', top_k=top_k)


@pytest.mark.parametrize('noise_std', [-1, float('inf'), float('nan'), '1'])
def test_impossible_noise(noise_std):
    with pytest.raises(ValueError, match=f"noise_std of router 'fusion.0' is {noise_std!r}; it must be a number, 0"):
        Router(6, NAMES, 'fusion.0', noise_std=noise_std)


def test_no_experts():
    with pytest.raises(ValueError, match="router 'r' has no experts"):
        Router(6, (), 'r')


def test_choosing_experts():
    available = {'a': lambda: nn.Linear(1, 1), 'b': lambda: nn.Linear(2, 2), 'c': lambda: pytest.fail('built')}
    chosen = choose_experts('experts', ['b', 'a'], available)
    assert {name: expert.in_features for name, expert in chosen.items()} == {'b': 2, 'a': 1}
    assert list(chosen) == ['b', 'a']
    for names in (['d'], ['a', 'a'], 'a b'):
        with pytest.raises(ValueError, match="experts is .* some of 'a', 'b', 'c', each at most once"):
            choose_experts('experts', names, available)


@pytest.mark.parametrize('top_k', [1, 4])
def test_mixture_under_bfloat16(top_k):
    mixture = make_mixture(top_k)
    grid = torch.randn(5, 6, 4, 4)
    exact = mixture(grid)[0]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output, routing = mixture(grid)
    assert routing.logits.dtype == routing.weights.dtype == torch.float32
    torch.testing.assert_close(output.float(), exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize('top_k', [None, 2])
def test_temperature_divides_the_logits(top_k):
    cold = make_mixture(top_k, temperature=0.25).router.eval()
    warm = make_mixture(top_k).router.eval()
    warm.load_state_dict(cold.state_dict())
    grid = torch.randn(5, 6, 2, 3)
    torch.testing.assert_close(cold(grid).logits, 4 * warm(grid).logits)
    torch.testing.assert_close(cold(grid).weights, (4 * warm(grid).weights.log()).softmax(1))


@pytest.mark.parametrize('temperature', [0, -1.0, float('inf'), float('nan'), 'cold'])
def test_temperature_must_be_above_0(temperature):
    with pytest.raises(ValueError, match="temperature of router 'test' is .*; it must be a number above 0"):
        make_mixture(None, temperature=temperature)


def test_entropy_by_hand():
    weights = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]])
    assert RoutingInfo('r', NAMES, weights, weights, weights > 0).entropy().item() == pytest.approx(0.5)


def test_the_bias_follows_the_load_in_training_only():
    router = make_mixture(None, balancing_rate=0.5).router
    nn.init.zeros_(router.score.weight)
    router.score.bias.data = torch.tensor([0.4, 0.2, 0.2, 0.2]).log()
    grid = torch.randn(3, 6, 2, 3)
    router.eval()(grid)
    assert router.bias.tolist() == [0, 0, 0, 0]
    weights = router.train()(grid).weights
    torch.testing.assert_close(weights[0], torch.tensor([0.4, 0.2, 0.2, 0.2]))
    torch.testing.assert_close(router.bias, -0.5 * torch.tensor([0.6, -0.2, -0.2, -0.2]))  # 4 · load - 1
    torch.testing.assert_close(router(grid).logits, (router.score.bias.data + torch.tensor([-0.3, 0.1, 0.1, 0.1])
                                                     ).expand(3, -1))


@pytest.mark.parametrize('top_k', [None, 2])
def test_balancing_uses_all_experts_though_each_sample_has_its_own(top_k):
    """A router that likes one expert, and tells samples apart: decided rows stay decided, and the load evens out."""
    torch.manual_seed(0)
    router = make_mixture(top_k, temperature=0.1, balancing_rate=0.1).router
    router.score.bias.data[0] += 1
    grids = torch.randn(200, 64, 6, 1, 1)
    before = router(grids[0]).weights.detach()
    for grid in grids:
        routing = router(grid)
    load = torch.cat([router.eval()(grid).weights for grid in grids]).mean(0)
    assert before.mean(0).max() > 0.6
    assert load.min() > 0.15 and load.max() < 0.4
    assert routing.entropy() < 0.6
    assert router.score.weight.grad is None


def test_without_balancing_there_is_no_bias_in_the_weights_file():
    assert 'bias' not in make_mixture(None).router.state_dict()
    assert 'bias' in make_mixture(None, balancing_rate=0.1).router.state_dict()
