import math

import pytest
import torch

from mmrefseg.models import AssignmentLoss, LoadBalanceLoss, RouterZLoss
from mmrefseg.models.layers import RoutingInfo


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
