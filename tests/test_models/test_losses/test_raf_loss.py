import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample
from torchvision.ops import sigmoid_focal_loss

from mmrefseg.errors import UserError
from mmrefseg.models import RAFLoss
from mmrefseg.registry import MODELS
from mmrefseg.structures import RefSegDataSample

BCE, FOCAL, DICE = (dict(lambda_bce=b, lambda_focal=f, lambda_dice=d) for b, f, d in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))


def power(base, exponent):
    return base**exponent if exponent else base * 0 + 1


def by_loops(logits, target, loss, ignored=None):
    """Equations (4) to (8), pixel by pixel; float64 if ``logits`` is."""
    pixels, dices, count = [], [], 0
    for i in range(len(logits)):
        overlap = predicted = true = 0
        for j in range(target[i].numel()):
            if ignored is not None and ignored[i].flatten()[j]:
                continue
            z, y = logits[i].flatten()[j], int(target[i].flatten()[j])
            p = 1 / (1 + torch.exp(-z))
            right = p if y else 1 - p
            bce = -torch.log(right)
            focal = -(loss.alpha if y else 1 - loss.alpha) * power(1 - right, loss.gamma) * torch.log(right)
            pixels.append(loss.lambda_bce * bce + loss.lambda_focal * focal)
            count += 1
            weight = abs(p - y) if loss.pixel_weight == 'error' else power(1 - p, loss.gamma)
            if loss.detach_weight:
                weight = weight.detach()
            overlap, predicted, true = overlap + weight * p * y, predicted + weight * p, true + weight * y
        dices.append(loss.lambda_dice * (1 - (2 * overlap + loss.eps) / (predicted + true + loss.eps)))
    if loss.reduction == 'mean':
        return loss.loss_weight * (sum(pixels) / count + sum(dices) / len(dices))
    return loss.loss_weight * (sum(pixels) + sum(dices))


def compare(loss, logits, target, ignored=None):
    """Value and gradient, ours in float32 against those of the loops."""
    ours, exact = logits.float().requires_grad_(), logits.double().requires_grad_()
    label = target if ignored is None else target.masked_fill(ignored, 255)
    value, expected = loss(ours, label), by_loops(exact, target, loss, ignored)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, atol=1e-6, rtol=1e-5)
    gradients = [torch.autograd.grad(v, x)[0] for v, x in ((value, ours), (expected, exact))]
    torch.testing.assert_close(gradients[0].double(), gradients[1], atol=1e-6, rtol=1e-4)


def batch(scale=2.0):
    return torch.randn(3, 1, 4, 5) * scale, torch.randint(0, 2, (3, 4, 5))


@pytest.mark.parametrize('detach_weight', [True, False])
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('pixel_weight', ['error', 'hard'])
@pytest.mark.parametrize('settings', [
    BCE, FOCAL, DICE, {}, dict(lambda_bce=0.5, lambda_focal=2, lambda_dice=3, loss_weight=0.7),
    dict(alpha=0.6, gamma=0.5, eps=1e-3), dict(gamma=0), dict(gamma=3.5, alpha=1)])
def test_against_loops(settings, pixel_weight, reduction, detach_weight):
    compare(
        RAFLoss(pixel_weight=pixel_weight, reduction=reduction, detach_weight=detach_weight, **settings), *batch())


@pytest.mark.parametrize('settings', [{}, dict(reduction='sum'), dict(pixel_weight='hard', detach_weight=False)])
def test_ignored_pixels_do_not_count(settings):
    compare(RAFLoss(**settings), *batch(), ignored=torch.rand(3, 4, 5) < 0.4)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize(('alpha', 'gamma'), [(0.25, 2.0), (0.8, 0.5), (0.5, 5.0)])
def test_the_focal_term_is_that_of_torchvision(alpha, gamma, reduction):
    logits, target = batch(4)
    results = []
    for x in (logits.clone().requires_grad_(), logits.clone().requires_grad_()):
        if results:
            value = sigmoid_focal_loss(x, target[:, None].float(), alpha, gamma, reduction)
        else:
            value = RAFLoss(**FOCAL, alpha=alpha, gamma=gamma, reduction=reduction)(x, target)
        results.append((value, torch.autograd.grad(value, x)[0]))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_by_hand():
    logits = torch.tensor([0.5, 0.9, 0.2]).logit().view(1, 1, 1, 3)
    target = torch.tensor([[[1, 0, 1]]])
    assert RAFLoss(**BCE)(logits, target).item() == pytest.approx(-math.log(0.5 * 0.1 * 0.2) / 3, rel=1e-5)
    focal = -0.25 * 0.5**2 * math.log(0.5) - 0.75 * 0.9**2 * math.log(0.1) - 0.25 * 0.8**2 * math.log(0.2)
    assert RAFLoss(**FOCAL)(logits, target).item() == pytest.approx(focal / 3, rel=1e-5)
    # weights abs(p - y): 0.5, 0.9, 0.8
    dice = 1 - (2 * (0.5 * 0.5 + 0.8 * 0.2) + 1) / (0.25 + 0.81 + 0.16 + 0.5 + 0.8 + 1)
    assert RAFLoss(**DICE)(logits, target).item() == pytest.approx(dice, rel=1e-5)
    # weights (1 - p)²: 0.25, 0.01, 0.64
    dice = 1 - (2 * (0.125 + 0.128) + 1) / (0.125 + 0.009 + 0.128 + 0.25 + 0.64 + 1)
    assert RAFLoss(**DICE, pixel_weight='hard')(logits, target).item() == pytest.approx(dice, rel=1e-5)


def test_dice_is_a_sample_at_a_time():
    logits, target = batch()
    loss = RAFLoss(**DICE)
    each = [loss(x[None], y[None]) for x, y in zip(logits, target, strict=True)]
    torch.testing.assert_close(loss(logits, target), sum(each) / 3)
    torch.testing.assert_close(RAFLoss(**DICE, reduction='sum')(logits, target), sum(each))


def test_weights_without_gradient_do_not_push_the_referent_down():
    """Beside false positives, a gradient through the weights lowers a pixel of the referent that is almost right."""
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    target[0, 0, 0] = 1
    gradients = []
    for detach_weight in (True, False):
        logits = torch.full((1, 1, 4, 4), 1.0, requires_grad=True)
        RAFLoss(**DICE, detach_weight=detach_weight)(logits, target).backward()
        gradients.append(logits.grad[0, 0, 0, 0])
    assert gradients[0] < 0 < gradients[1]
    assert RAFLoss().detach_weight


TERMS = {'bce': BCE, 'focal': FOCAL, 'dice': DICE, 'all': {}}


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('terms', TERMS)
@pytest.mark.parametrize('settings', [
    {}, dict(reduction='sum'), dict(pixel_weight='hard'), dict(detach_weight=False, gamma=0.5, eps=1e-6),
    dict(pixel_weight='hard', detach_weight=False, gamma=0.5, eps=1e-6), dict(gamma=0, pixel_weight='hard')])
def test_extremes_are_finite(settings, terms, dtype):
    for size in ((3, 4), (1, 1)):
        for value in (1e4, -1e4, 0.0):
            for mask in (0, 1, 255):
                logits = torch.full((2, 1, *size), value, dtype=dtype, requires_grad=True)
                with torch.autocast('cpu', dtype=torch.bfloat16 if dtype == torch.float32 else dtype):
                    loss = RAFLoss(**settings, **TERMS[terms])(logits, torch.full((2, *size), mask))
                loss.backward()
                assert loss.dtype == torch.float32
                assert loss.isfinite()
                assert logits.grad.isfinite().all()
                if mask == 255:
                    assert loss == 0
                    assert not logits.grad.any()


def test_perfect_and_opposite():
    target = torch.tensor([[[0, 1, 1, 0]]])
    logits = (target[:, None] * 2 - 1) * 50.0
    assert RAFLoss()(logits, target).item() == pytest.approx(0, abs=1e-6)
    assert RAFLoss(**BCE)(-logits, target).item() == pytest.approx(50)
    assert RAFLoss(**DICE)(-logits, target).item() == pytest.approx(1 - 1 / 5)


def test_half_precision_costs_only_the_rounding_of_logits():
    logits, target = batch()
    for dtype in (torch.bfloat16, torch.float16):
        rounded = logits.to(dtype)
        with torch.autocast('cpu', dtype=dtype):
            found = RAFLoss()(rounded, target)
        assert found == RAFLoss()(rounded.float(), target)


def test_weights_of_pixels():
    """A weight of 0 is as good as ignoring; the mean is that of what counts."""
    logits, target = batch()
    ignored = torch.rand(3, 4, 5) < 0.5
    for loss in (RAFLoss(), RAFLoss(reduction='sum')):
        torch.testing.assert_close(
            loss(logits, target, weight=(~ignored).float()), loss(logits, target.masked_fill(ignored, 255)))
    torch.testing.assert_close(
        RAFLoss(**BCE)(logits, target, weight=torch.full((3, 4, 5), 0.1)), RAFLoss(**BCE)(logits, target))


@pytest.mark.parametrize('kind', ['RAFLoss', 'BinaryDiceLoss'])
def test_in_a_head_of_mmseg(make_batch, kind):
    loss = dict(type=f'mmrefseg.{kind}', loss_weight=0.5, loss_name='loss_ours')
    bce = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True)
    head = MODELS.build(
        dict(
            type='mmseg.FCNHead', in_channels=4, channels=4, num_convs=1, num_classes=2, out_channels=1, threshold=0.5,
            dropout_ratio=0.0, norm_cfg=dict(type='BN'), ignore_index=7, loss_decode=[loss, bce]))
    samples = [SegDataSample(gt_sem_seg=sample.gt_sem_seg.new(data=sample.gt_sem_seg.data.long()))
               for sample in make_batch(size=16)['data_samples']]
    samples[0].gt_sem_seg.data[:, :4] = 7
    features = [torch.randn(2, 4, 8, 8)]
    losses = head.loss(features, samples, ConfigDict())
    assert losses.keys() == {'loss_ours', 'loss_ce', 'acc_seg'}
    losses['loss_ours'].backward()
    assert all(p.grad is not None for p in head.parameters())
    head.eval()
    logits = torch.nn.functional.interpolate(head(features), (16, 16), mode='bilinear')
    target = torch.cat([sample.gt_sem_seg.data for sample in samples])
    expected = MODELS.build(dict(loss, type=kind))(logits, target, ignore_index=7)
    torch.testing.assert_close(head.loss(features, samples, ConfigDict())['loss_ours'], expected)


def test_in_our_head(tiny_config, make_batch):
    tiny_config.decode_head.loss_decode = dict(type='RAFLoss')
    model = MODELS.build(tiny_config)
    assert isinstance(make_batch()['data_samples'][0], RefSegDataSample)
    losses = model(**model.data_preprocessor(make_batch(), True), mode='loss')
    assert 'decode.loss_raf' in losses
    assert model.parse_losses(losses)[0] >= losses['decode.loss_raf']


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(lambda_bce=0, lambda_focal=0, lambda_dice=0), r'RAFLoss has lambda_bce=0, .* one at least positive'),
    (dict(lambda_dice=float('nan')), 'lambda_dice of RAFLoss is nan; it must be a number'),
    (dict(lambda_bce=float('inf')), r'lambda_bce=inf.*; each must be a number, 0 or larger'),
    (dict(lambda_dice=-1), r'lambda_dice=-1; each must be a number, 0 or larger'),
    (dict(gamma=float('nan')), 'gamma of RAFLoss is nan; it must be a number'),
    (dict(alpha=1.5), r'alpha=1\.5.* needs 0 ≤ alpha ≤ 1'),
    (dict(gamma=-1), r'gamma=-1.* gamma ≥ 0'),
    (dict(eps=0), r'eps=0; .* eps > 0'),
    (dict(pixel_weight='soft'), r"pixel_weight of RAFLoss is 'soft'; it must be 'error' or 'hard'"),
    (dict(reduction='none'), r"reduction of RAFLoss is 'none'; it must be 'mean' or 'sum'"),
])
def test_impossible_settings(settings, message):
    with pytest.raises(UserError, match=message):
        RAFLoss(**settings)


@pytest.mark.parametrize(('channels', 'size', 'weight'), [(2, (4, 4), None), (1, (4, 3), None), (1, (4, 4), (2, 4))])
def test_shapes_that_do_not_fit(channels, size, weight):
    weight = None if weight is None else torch.ones(2, *weight)
    with pytest.raises(ValueError, match=r'RAFLoss got logits .* set out_channels=1'):
        RAFLoss()(torch.zeros(2, channels, 4, 4), torch.zeros(2, *size), weight)
