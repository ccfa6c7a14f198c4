"""mmcv's operators, compiled in few large units, against torchvision's."""
import pytest
import torch
import torchvision.ops
from torch.testing import assert_close

from mmrefseg.utils import mmcv_operator_stubs as operators

if not operators.compiled():
    pytest.skip("mmcv's operators are not compiled here", allow_module_level=True)
import mmcv.ops


def boxes(count, size=24.0):
    corners = torch.rand(count, 2) * size * 0.6
    return torch.cat((corners, corners + 1 + torch.rand(count, 2) * size * 0.4), dim=1)


def gradients(output, *inputs):
    return torch.autograd.grad((output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum(), inputs)


def test_deformable_convolution():
    x, weight = torch.randn(2, 4, 7, 6).requires_grad_(), torch.randn(5, 4, 3, 3).requires_grad_()
    offset, mask = (2 * torch.randn(2, 36, 7, 6)).requires_grad_(), torch.rand(2, 18, 7, 6).requires_grad_()
    ours = mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1, 1, 1, 2)
    theirs = torchvision.ops.deform_conv2d(x, offset, weight, padding=1, mask=mask)
    assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert_close(gradients(ours, x, offset, mask, weight), gradients(theirs, x, offset, mask, weight),
                 rtol=1e-3, atol=1e-3)
    plain = mmcv.ops.deform_conv2d(x, offset, weight, 1, 1, 1, 1, 2)
    assert_close(plain, torchvision.ops.deform_conv2d(x, offset, weight, padding=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align(aligned):
    x = torch.randn(2, 3, 12, 12).requires_grad_()
    rois = torch.cat((torch.tensor([[0.], [1], [1], [0]]), boxes(4)), dim=1)
    ours = mmcv.ops.roi_align(x, rois, (3, 4), 0.5, 2, 'avg', aligned)
    theirs = torchvision.ops.roi_align(x, rois, (3, 4), 0.5, 2, aligned)
    assert_close(ours, theirs)
    assert_close(gradients(ours, x), gradients(theirs, x))


def test_rotated_roi_align_at_angle_zero():
    """It lies apart from roi_align, whose helpers have the same names."""
    x, corners = torch.randn(1, 3, 12, 12), boxes(4, 12.0)
    centred = torch.cat(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), dim=1)
    rotated = torch.cat((torch.zeros(4, 1), centred, torch.zeros(4, 1)), dim=1)
    ours = mmcv.ops.roi_align_rotated(x, rotated, (3, 3), 1.0, 2, True)
    assert_close(ours, torchvision.ops.roi_align(x, [corners], (3, 3), 1.0, 2, True))


def test_nms():
    corners, scores = boxes(60), torch.rand(60)
    kept, index = mmcv.ops.nms(corners, scores, 0.4)
    expected = torchvision.ops.nms(corners, scores, 0.4)
    assert 5 < len(expected) < 60
    assert_close(index, expected)
    assert_close(kept, torch.cat((corners, scores[:, None]), dim=1)[expected])


def test_rotated_nms_at_angle_zero():
    corners, scores = boxes(60), torch.rand(60)
    rotated = torch.cat(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2], torch.zeros(60, 1)), 1)
    assert_close(mmcv.ops.nms_rotated(rotated, scores, 0.4)[1], torchvision.ops.nms(corners, scores, 0.4))


@pytest.mark.parametrize('position', [(0, 0), (3, 4)])
def test_psa_mask_moves_attention_to_its_place(position):
    """Its macros named min and max must reach no other file, nor miss it."""
    mask = torch.arange(25.).reshape(1, 25, 1, 1).expand(1, 25, 5, 6).contiguous()
    collected = mmcv.ops.PSAMask('collect', (5, 5))(mask)
    assert collected.shape == (1, 30, 5, 6)
    row, column = position
    expected = torch.zeros(5, 6)
    for i in range(5):
        for j in range(6):
            if abs(i - row) <= 2 and abs(j - column) <= 2:
                expected[i, j] = (i - row + 2) * 5 + j - column + 2
    assert_close(collected[0, :, row, column].reshape(5, 6), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="mmcv's focal loss has no kernel for CPUs")
def test_focal_loss():
    logits, target = torch.randn(20, 3, device='cuda').requires_grad_(), torch.randint(3, (20,), device='cuda')
    ours = mmcv.ops.sigmoid_focal_loss(logits, target, 2.0, 0.25, None, 'none')
    one_hot = torch.nn.functional.one_hot(target, 3).float()
    theirs = torchvision.ops.sigmoid_focal_loss(logits, one_hot, 0.25, 2.0)
    assert_close(ours, theirs)
    assert_close(gradients(ours, logits), gradients(theirs, logits))
