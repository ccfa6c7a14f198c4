import pytest
import torch
from torch import nn

from mmrefseg.models.layers import ExpertMixture, Router, frozen_to, rerouted, without

NAMES = ('a', 'b', 'c')


class Times(nn.Module):
    """An expert that multiplies."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


@pytest.fixture
def model():
    """Two mixtures; the first one's logits are the first three channels' means."""
    mixtures = [ExpertMixture({name: Times(10**i) for i, name in enumerate(NAMES)}, Router(3, NAMES, name, top_k=top_k))
                for name, top_k in (('soft', None), ('sparse', 1))]
    for mixture in mixtures:
        mixture.router.score.weight.data = torch.eye(3)
        mixture.router.score.bias.data.zero_()
    return nn.ModuleList(mixtures).eval()


def grid(*rows):
    return torch.tensor(rows)[:, :, None, None].expand(-1, -1, 2, 2)


def test_frozen_routers_treat_all_alike(model):
    x = grid([3.0, 0.0, 0.0], [0.0, 2.0, 1.0])
    with rerouted(model, frozen_to({'soft': torch.tensor([0.5, 0.3, 0.2])})):
        soft, routing = model[0](x)
        sparse = model[1](x)[0]
    torch.testing.assert_close(soft, (0.5 + 3 + 20) * x)
    torch.testing.assert_close(routing.weights, torch.tensor([[0.5, 0.3, 0.2]] * 2))
    torch.testing.assert_close(sparse, torch.stack((x[0], 10 * x[1])))  # not named


def test_a_sparse_router_can_be_frozen_to_a_mixture(model):
    x = grid([3.0, 0.0, 0.0])
    with rerouted(model, frozen_to({'sparse': torch.tensor([0.5, 0.5, 0.0])})):
        mixed, routing = model[1](x)
    torch.testing.assert_close(mixed, 5.5 * x)
    assert routing.chosen.tolist() == [[True, True, False]]


def test_without_an_expert_the_others_share_its_weight(model):
    x = grid([0.0, 1.0, 2.0])
    with rerouted(model, without('soft', 'b')):
        weights = model[0](x)[1].weights
        assert model[1](x)[1].chosen.tolist() == [[False, False, True]]
    torch.testing.assert_close(weights, torch.tensor([0.0, -torch.inf, 2.0]).softmax(0)[None])


def test_without_its_only_expert_a_sample_takes_the_next_best(model):
    x = grid([0.0, 1.0, 2.0], [5.0, 1.0, 2.0])
    with rerouted(model, without('sparse', 'c')):
        mixed, routing = model[1](x)
    assert routing.chosen.tolist() == [[False, True, False], [True, False, False]]
    torch.testing.assert_close(mixed, torch.stack((10 * x[0], x[1])))


def test_afterwards_all_is_as_before_even_after_an_error(model):
    x = grid([0.0, 1.0, 2.0])
    before = model[0](x)[0]
    with pytest.raises(KeyError), rerouted(model, without('soft', 'c')):
        assert not torch.equal(model[0](x)[0], before)
        raise KeyError
    assert torch.equal(model[0](x)[0], before)
