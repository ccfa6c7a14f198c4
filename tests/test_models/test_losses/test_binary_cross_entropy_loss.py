import pytest
import torch
from mmseg.models.losses import CrossEntropyLoss

from mmrefseg.models.losses import BinaryCrossEntropyLoss


@pytest.mark.parametrize('ignored', [0.0, 0.3])
@pytest.mark.parametrize('weighted', [False, True])
def test_it_is_that_of_mmseg(ignored, weighted):
    logits = (5 * torch.randn(3, 1, 6, 7)).requires_grad_()
    target = torch.randint(0, 2, (3, 6, 7))
    target[torch.rand(3, 6, 7) < ignored] = 255
    weight = torch.rand(3, 6, 7) if weighted else None
    theirs = CrossEntropyLoss(use_sigmoid=True, avg_non_ignore=True, loss_weight=2.0)
    values = [loss(logits, target, weight, ignore_index=255) for loss in (BinaryCrossEntropyLoss(2.0), theirs)]
    gradients = [torch.autograd.grad(value, logits)[0] for value in values]
    torch.testing.assert_close(*values, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-6)


def test_nothing_counts():
    logits = torch.randn(2, 1, 3, 3, requires_grad=True)
    loss = BinaryCrossEntropyLoss()(logits, torch.full((2, 3, 3), 255))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_graphs_hold_it():
    loss, logits, target = BinaryCrossEntropyLoss(), torch.randn(2, 1, 3, 3), torch.randint(0, 2, (2, 3, 3))
    torch.testing.assert_close(torch.compile(loss, backend='eager', fullgraph=True)(logits, target),
                               loss(logits, target))
