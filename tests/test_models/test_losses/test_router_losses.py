import math

import pytest
import torch

from mmrefseg.models import AssignmentLoss, LoadBalanceLoss, RouterZLoss
from mmrefseg.models.layers import Router, RoutingInfo


def make_info(logits, weights=None):
    logits = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    weights = logits.softmax(1) if weights is None else torch.tensor(weights, requires_grad=True)
    names = tuple('abcdef'[:logits.shape[1]])
    return RoutingInfo('r', names, logits, weights, weights > 0)


def test_z_loss_by_hand():
    info = make_info([[1.0, -2.0], [3.0, 0.0]])
    loss = RouterZLoss(loss_weight=0.5)(info)
    assert loss.item() == pytest.approx(0.5 * (1 + 4 + 9) / 4)
    loss.backward()
    assert info.logits.grad.tolist() == [[0.25, -0.5], [0.75, 0.0]]  # 0.5 · 2x / 4


def test_balance_by_hand():
    info = make_info([[0.0, 0.0]] * 2, [[1.0, 0.0], [0.5, 0.5]])
    loss = LoadBalanceLoss(loss_weight=2.0)(info)  # loads 1.5 and 0.5: mean 1, variance 0.25
    assert loss.item() == pytest.approx(2 * 0.25)
    loss.backward()
    # with m = (a + b) / 2: ((a - b) / (a + b))²; its derivative by a is 4b(a - b) / (a + b)³
    by_a, by_b = 4 * 0.5 * 1 / 8, -4 * 1.5 * 1 / 8
    torch.testing.assert_close(info.weights.grad, 2 * torch.tensor([[by_a, by_b]] * 2))


def test_assignment_by_hand():
    info = make_info([[2.0, 0.0], [1.0, 0.0], [0.0, math.log(3)], [0.5, 0.0]])
    loss = AssignmentLoss(loss_weight=10.0)(info)
    first = [1 / (1 + math.exp(-x)) for x in (2.0, 1.0, -math.log(3), 0.5)]
    mean = sum(first) / 4
    assert loss.item() == pytest.approx(10 * 2 * (0.75 * mean + 0.25 * (1 - mean)))
    loss.backward()
    # only the mean probabilities carry a gradient: 2 (0.75 - 0.25) / 4 · p (1 - p)
    expected = [10 * 2 * 0.5 / 4 * p * (1 - p) for p in first]
    torch.testing.assert_close(info.logits.grad, torch.tensor([[x, -x] for x in expected]))


def plain_losses(logits, weights):
    """The three losses of one router by loops over samples and experts, with their derivatives by the logits.

    The weights' derivative counts as that of a softmax over the experts with weights above 0.
    """
    samples, experts = range(len(logits)), range(len(logits[0]))
    count = len(logits) * len(logits[0])
    exponentials = [[math.exp(x) for x in row] for row in logits]
    full = [[x / sum(row) for x in row] for row in exponentials]
    share = [sum(row[e] == max(row) for row in logits) / len(logits) for e in experts]
    load = [sum(weights[b][e] for b in samples) for e in experts]
    mean = sum(load) / len(load)
    variance = sum((x - mean)**2 for x in load) / len(load)
    # by a load: the mean moves by 1 / E, so that (x - mean)² sums to 2 (x_e - mean)
    by_load = [2 * (x - mean) / len(load) / mean**2 - 2 * variance / mean**3 / len(load) for x in load]

    def through_softmax(gradient, row):
        inner = sum(g * p for g, p in zip(gradient, row, strict=True))
        return [p * (g - inner) for g, p in zip(gradient, row, strict=True)]

    by_mean_probability = [len(load) * f / len(logits) for f in share]
    assignment = len(load) * sum(share[e] * sum(row[e] for row in full) / len(logits) for e in experts)
    squares = sum(x**2 for row in logits for x in row)
    return {
        RouterZLoss: (squares / count, [[2 * x / count for x in row] for row in logits]),
        LoadBalanceLoss: (variance / mean**2, [through_softmax(by_load, row) for row in weights]),
        AssignmentLoss: (assignment, [through_softmax(by_mean_probability, row) for row in full]),
    }


@pytest.mark.parametrize('kind', [RouterZLoss, LoadBalanceLoss, AssignmentLoss])
@pytest.mark.parametrize(('experts', 'top_k', 'hidden_channels'), [
    ('abcd', 1, 7), ('abcd', 2, 7), ('abcd', 3, 7), ('abcd', 4, 7), ('ab', None, None)])
def test_losses_of_a_router_against_loops(kind, experts, top_k, hidden_channels):
    """Value and gradient, with the fusion's router at every k and the adapters' soft one."""
    router = Router(5, tuple(experts), 'r', hidden_channels, top_k)
    info = router(3 * torch.randn(6, 5, 2, 3))
    info.logits.retain_grad()
    loss = kind(loss_weight=0.25)(info)
    loss.backward()
    value, gradient = plain_losses(info.logits.tolist(), info.weights.tolist())[kind]
    assert loss.item() == pytest.approx(0.25 * value, rel=1e-5)
    torch.testing.assert_close(info.logits.grad, 0.25 * torch.tensor(gradient), atol=1e-6, rtol=1e-4)
    assert all(parameter.grad is not None for parameter in router.parameters())


@pytest.mark.parametrize('kind', [RouterZLoss, LoadBalanceLoss, AssignmentLoss])
def test_losses_are_in_float32_under_autocast(kind):
    router = Router(5, tuple('abcd'), 'r', 7, 2)
    grid = torch.randn(6, 5, 2, 3)
    exact = kind(loss_weight=1.0)(router(grid))
    with torch.autocast('cpu', torch.bfloat16):
        rough = kind(loss_weight=1.0)(router(grid))
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact)


def test_uniform_routing():
    info = make_info((torch.eye(4) * 1e-4).tolist())
    assert LoadBalanceLoss(loss_weight=1.0)(info).item() == pytest.approx(0, abs=1e-8)
    assert AssignmentLoss(loss_weight=1.0)(info).item() == pytest.approx(1, abs=1e-4)
    assert RouterZLoss(loss_weight=1.0)(make_info([[0.0] * 4] * 3)).item() == 0


def test_collapsed_routing():
    info = make_info([[50.0, 0.0, 0.0, 0.0]] * 3)
    assert AssignmentLoss(loss_weight=1.0)(info).item() == pytest.approx(4)
    assert LoadBalanceLoss(loss_weight=1.0)(info).item() == pytest.approx(3)  # (E - 1) for one of E experts


def test_the_first_choice_is_that_of_all_experts():
    """Sparse weights of 0 do not matter for the assignment: it reads the logits."""
    dense = make_info([[1.0, 0.5, 0.0], [0.0, 0.2, 0.1]])
    sparse = dense._replace(weights=dense.weights * torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    loss = AssignmentLoss(loss_weight=1.0)
    assert loss(dense) == loss(sparse)


def test_one_sample_is_finite():
    info = make_info([[9.0, -9.0, 0.0]], [[1.0, 0.0, 0.0]])
    for loss in (RouterZLoss, LoadBalanceLoss, AssignmentLoss):
        assert loss(loss_weight=1.0)(info).isfinite()


def test_names():
    assert [loss.loss_name for loss in (RouterZLoss, LoadBalanceLoss, AssignmentLoss)] == [
        'loss_router_z', 'loss_router_balance', 'loss_router_assignment']
