import pytest
import torch
from torch import nn

from mmrefseg.models.layers import ExpertMixture, Router, RoutingInfo

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


def gradients(module, output):
    module.zero_grad()
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    return {name: p.grad.clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize('top_k', [None, 4, 3, 2, 1])
@pytest.mark.parametrize('hidden_channels', [None, 5])
def test_mixture_equals_compute_all_and_mask(top_k, hidden_channels):
    mixture = make_mixture(top_k, hidden_channels=hidden_channels)
    grid = torch.randn(7, 6, 4, 5)
    output, routing = mixture(grid)
    expected, weights = compute_all_and_mask(mixture, grid)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(routing.weights, weights, atol=1e-6, rtol=1e-6)
    found, wanted = gradients(mixture, output), gradients(mixture, expected)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize('top_k', [1, 2, 4])
def test_weights(top_k):
    routing = make_mixture(top_k).router(torch.randn(9, 6, 3, 3))
    assert routing.chosen.sum(1).tolist() == [top_k] * 9
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(9))
    assert (routing.weights[~routing.chosen] == 0).all()
    assert (routing.weights[routing.chosen] > 0).all()


def test_sparse_experts_see_only_the_samples_that_chose_them():
    mixture = make_mixture(2)
    _, routing = mixture(torch.randn(8, 6, 3, 3))
    assert [expert.seen for expert in mixture.experts.values()] == routing.chosen.sum(0).tolist()
    assert sum(expert.seen for expert in mixture.experts.values()) == 16


def test_experts_with_batch_statistics_see_all_samples():
    experts = {name: nn.Sequential(Shift(6), nn.BatchNorm2d(6)) for name in NAMES}
    mixture = make_mixture(1, experts)
    grid = torch.randn(8, 6, 3, 3)
    output, routing = mixture(grid)
    assert [expert[0].seen for expert in experts.values()] == [8] * 4
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


def test_first_choice():
    logits = torch.tensor([[0.1, 3.0, -1.0], [5.0, 4.0, 4.9]])
    info = RoutingInfo('r', ('a', 'b', 'c'), logits, logits.softmax(1), torch.ones(2, 3, dtype=torch.bool))
    assert info.first_choice().tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize('top_k', [0, 5, -1])
def test_impossible_top_k(top_k):
    with pytest.raises(ValueError, match=rf"top_k of router 'fusion.0' is {top_k}.*between 1.*4 \(a, b, c, d\)"):
        Router(6, NAMES, 'fusion.0', top_k=top_k)


@pytest.mark.parametrize('top_k', [1, 4])
def test_mixture_under_bfloat16(top_k):
    mixture = make_mixture(top_k)
    grid = torch.randn(5, 6, 4, 4)
    exact = mixture(grid)[0]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output, routing = mixture(grid)
    assert routing.logits.dtype == routing.weights.dtype == torch.float32
    torch.testing.assert_close(output.float(), exact, atol=0.05, rtol=0.05)
