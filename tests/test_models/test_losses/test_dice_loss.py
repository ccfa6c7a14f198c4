import pytest
import torch

from mmrefseg.models import BinaryDiceLoss


def logit(probability):
    return torch.tensor(probability).logit()


def test_by_hand():
    logits = torch.stack((logit([[0.5, 0.9], [0.2, 0.4]]), logit([[0.1, 0.1], [0.1, 0.1]])))[:, None]
    target = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]])
    first = 1 - (2 * 1.4 + 1) / (2.0 + 2 + 1)
    second = 1 - 1 / (0.4 + 1)
    assert BinaryDiceLoss()(logits, target).item() == pytest.approx((first + second) / 2, abs=1e-6)
    assert BinaryDiceLoss(loss_weight=3, eps=0.5)(logits[:1], target[:1]).item() == pytest.approx(
        3 * (1 - 3.3 / 4.5), abs=1e-6)


def test_ignored_pixels_do_not_count():
    logits = torch.randn(2, 1, 3, 4)
    target = torch.randint(0, 2, (2, 3, 4))
    target[:, 1:] = 255
    loss = BinaryDiceLoss()
    torch.testing.assert_close(loss(logits, target), loss(logits[:, :, :1], target[:, :1]))


@pytest.mark.parametrize('value', [0, 1, 255])
@pytest.mark.parametrize('size', [1e4, -1e4])
def test_extremes_are_finite(value, size):
    logits = torch.full((2, 1, 3, 3), size, requires_grad=True)
    loss = BinaryDiceLoss()(logits, torch.full((2, 3, 3), value))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_perfect_and_opposite():
    target = torch.tensor([[[0, 1, 1, 0]]])
    logits = (target[:, None] * 2 - 1) * 50.0
    assert BinaryDiceLoss()(logits, target).item() == pytest.approx(0, abs=1e-6)
    assert BinaryDiceLoss()(-logits, target).item() == pytest.approx(1 - 1 / 5, abs=1e-6)
