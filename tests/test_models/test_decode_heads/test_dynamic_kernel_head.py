import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData

from mmrefseg.models import DynamicKernelHead
from mmrefseg.models.decode_heads.dynamic_kernel_head import convolve_each
from mmrefseg.structures import RefSegDataSample


def one_by_one(x, kernels):
    padding = kernels.shape[-1] // 2
    return torch.cat([F.conv2d(a[None], k[None], padding=padding) for a, k in zip(x, kernels, strict=True)])


@pytest.mark.parametrize('kernel_size', [1, 3, 5])
@pytest.mark.parametrize('size', [(7, 5), (4, 6), (1, 3), (2, 1)])
def test_convolve_each(kernel_size, size):
    x = torch.randn(3, 4, *size, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(3, 4, kernel_size, kernel_size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, *size)
    results = []
    for function in (convolve_each, one_by_one):
        output = function(x, kernels)
        gradients = torch.autograd.grad((output * weight).sum(), (x, kernels))
        results.append((output.double(), *gradients))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_convolve_each_by_hand():
    x = torch.zeros(1, 1, 3, 4)
    x[0, 0, 1, 1] = 1
    kernel = torch.arange(9.0).view(1, 1, 3, 3)
    # a correlation turns the kernel around
    assert convolve_each(x, kernel)[0, 0].tolist() == [[8, 7, 6, 0], [5, 4, 3, 0], [2, 1, 0, 0]]


def test_convolve_each_under_bfloat16():
    x, kernels = torch.randn(2, 64, 9, 9), torch.randn(2, 64, 3, 3) / 24
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = convolve_each(x, kernels)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, one_by_one(x, kernels), atol=0.05, rtol=0.02)


def make_head(**kwargs):
    settings = dict(
        in_channels=8, text_channels=12, sentence_channels=12, num_layers=1, num_heads=2, ffn_channels=16)
    return DynamicKernelHead(**{**settings, **kwargs}).eval()


def make_samples(masks):
    return [RefSegDataSample(gt_sem_seg=PixelData(data=mask[None])) for mask in masks]


@pytest.mark.parametrize('kernel_size', [1, 3])
def test_forward_against_plain_formula(make_text, kernel_size):
    head, text = make_head(kernel_size=kernel_size), make_text(12)
    maps = (torch.randn(2, 5, 1, 1), torch.randn(2, 8, 3, 2))  # the last one counts
    x = head.projector(head.decoder(maps[-1], text))
    parameters = head.kernel(text.sentence)
    expected = [
        F.conv2d(a[None], p[:-1].view(1, 4, kernel_size, kernel_size), p[-1:], padding=kernel_size // 2)
        for a, p in zip(x, parameters, strict=True)
    ]
    logits = head(maps, text)
    assert logits.shape == (2, 1, 12, 8)
    torch.testing.assert_close(logits, torch.cat(expected), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.predict(maps, text), logits)


def test_another_projector(make_text):
    """Of the default's names and, without its additions, values; it gets its widths from the head."""
    config = dict(type='DeformableSEProjector', dcn=None, residual=False, se_ratio=None)
    unchanged, plain, other = dict(config), make_head(), make_head(projector=config)
    assert config == unchanged
    other.load_state_dict(plain.state_dict())
    maps, text = (torch.randn(2, 8, 3, 3), ), make_text(12)
    assert torch.equal(other(maps, text), plain(maps, text))
    full = make_head(projector=dict(type='DeformableSEProjector', channels=3))
    assert set(full.state_dict()) > set(plain.state_dict())
    full.load_state_dict(plain.state_dict(), strict=False)
    assert full(maps, text).shape == (2, 1, 12, 12)
    assert not torch.allclose(full(maps, text), plain(maps, text))


def test_kaiming_of_the_head_leaves_offsets_at_zero():
    head = make_head(projector=dict(type='DeformableSEProjector'), init_cfg=dict(type='Kaiming', layer='Conv2d'))
    head.init_weights()
    values = [value for name, value in head.named_parameters() if 'conv_offset' in name]
    assert len(values) == 4
    assert not any(value.any() for value in values)


def test_the_sentence_matters_beside_the_words(make_text):
    head, text = make_head(), make_text(12)
    maps = (torch.randn(2, 8, 3, 3), )
    other = text._replace(sentence=text.sentence + 1)
    assert not torch.allclose(head(maps, text), head(maps, other))


def test_default_loss_is_bce_at_the_logits_resolution():
    head = make_head()
    logits = torch.tensor([[[[0.0, 2.0], [-1.0, 3.0]]]])
    mask = torch.tensor([[1, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 0]], dtype=torch.uint8)
    # nearest neighbour takes the even rows and columns: 1 0 / 1 1
    losses = head.loss_by_feat(logits, mask[None, None])
    expected = (math.log(2) + math.log(1 + math.exp(2)) + math.log(1 + math.e) + math.log(1 + math.exp(-3))) / 4
    assert list(losses) == ['loss_ce']
    assert losses['loss_ce'].item() == pytest.approx(expected, rel=1e-5)


def test_target_of_a_size_that_does_not_divide():
    head = make_head()
    mask = torch.randint(0, 2, (7, 7), dtype=torch.uint8)
    logits = torch.randn(1, 1, 4, 4)
    target = torch.tensor([[float(mask[int(i * 1.75), int(j * 1.75)]) for j in range(4)] for i in range(4)])
    expected = F.binary_cross_entropy_with_logits(logits[0, 0], target)
    torch.testing.assert_close(head.loss_by_feat(logits, mask[None, None])['loss_ce'], expected)


@pytest.mark.parametrize(('target', 'lowest', 'highest'), [('nearest', 1.25, 1.75), ('nearest-exact', -0.5, 0.5)])
def test_where_the_target_lies(target, lowest, highest):
    """Of a ramp of columns, how far right of its place in a cell's middle the value is that a logit learns."""
    seen = []
    head = DynamicKernelHead(8, 8, 8, num_heads=2, target=target)
    head.loss_decode[0].forward = lambda logits, truth, ignore_index: seen.append(truth) or logits.sum()
    head.loss_by_feat(torch.zeros(1, 1, 32, 32), torch.arange(112).expand(1, 1, 112, 112))
    middles = (torch.arange(32) + 0.5) * 112 / 32
    shift = middles - (seen[0][0, 5] + 0.5)
    assert lowest <= shift.mean() <= highest
    assert shift.abs().max() <= highest + 0.25


def test_losses_without_any_weight():
    silent = [dict(type='BinaryDiceLoss', loss_weight=0.0), dict(type='RAFLoss', loss_weight=0)]
    with pytest.raises(ValueError, match=r'losses of DynamicKernelHead is \[0.0, 0\]; .* other than 0'):
        make_head(loss_decode=silent)
    make_head(loss_decode=[*silent, dict(type='BinaryDiceLoss')])


def test_losses_by_name_and_ignored_pixels(make_text):
    bce = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True)
    head = make_head(loss_decode=[bce, dict(type='BinaryDiceLoss'), dict(bce, loss_weight=2.0)])
    masks = torch.randint(0, 2, (2, 12, 12), dtype=torch.uint8)
    masks[:, :6] = 255
    maps, text = (torch.randn(2, 8, 3, 3), ), make_text(12)
    losses = head.loss(maps, text, make_samples(masks))
    logits = head(maps, text)[:, :, 6:]
    expected = F.binary_cross_entropy_with_logits(logits, masks[:, None, 6:].float())
    assert list(losses) == ['loss_ce', 'loss_dice']
    torch.testing.assert_close(losses['loss_ce'], 3 * expected)


def test_losses_are_float32_under_bfloat16(make_text):
    head, text = make_head(), make_text(12)
    samples = make_samples(torch.ones(2, 12, 12, dtype=torch.uint8))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = head.loss((torch.randn(2, 8, 3, 3), ), text, samples)['loss_ce']
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(in_channels=6), 'in_channels of DynamicKernelHead is 6; it must be a multiple of 4'),
    (dict(text_channels=5), 'text_channels of DynamicKernelHead is 5; it must be a multiple of 2'),
    (dict(num_heads=3), 'num_heads of DynamicKernelHead is 3; it must be a whole number that divides the 8 channels'),
    (dict(num_heads=0), 'num_heads of DynamicKernelHead is 0; '),
    (dict(kernel_size=2), 'kernel_size of DynamicKernelHead is 2; it must be an odd number'),
])
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make_head(**settings)


@pytest.mark.parametrize('losses', [None, dict(type='RAFLoss'), dict(type='BinaryDiceLoss'), [
    dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True), dict(type='RAFLoss', reduction='sum')]])
def test_a_batch_whose_every_pixel_is_ignored_teaches_nothing(losses):
    head = make_head(loss_decode=losses)
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    values = head.loss_by_feat(logits, torch.full((2, 1, 8, 8), 255))
    assert set(values) == {loss.loss_name for loss in head.loss_decode}
    sum(values.values()).backward()
    assert [value.item() for value in values.values()] == [0] * len(values)
    assert not logits.grad.any()


def test_presence_blanks_what_is_not_there(make_text):
    head, text, maps = make_head(presence=dict(channels=4, threshold=0.5)), make_text(12), (torch.randn(2, 8, 3, 3), )
    plain = make_head()
    plain.load_state_dict(head.state_dict(), strict=False)
    torch.nn.init.zeros_(head.presence.output.weight)
    for bias, is_there in ((0.1, True), (-0.1, False)):
        torch.nn.init.constant_(head.presence.output.bias, bias)
        logits = head.predict(maps, text)
        torch.testing.assert_close(head(maps, text), plain(maps, text))
        assert torch.equal(logits, plain(maps, text)) if is_there else (logits == -20).all()


def test_presence_sees_map_sentence_and_answer_and_each_sample_alone(make_text):
    head, inputs = make_head(presence={}).presence, (
        torch.randn(2, 8, 3, 3), make_text(12).sentence, torch.randn(2, 1, 12, 12, requires_grad=True))
    both = head(*inputs)
    torch.testing.assert_close(torch.cat([head(*(value[i:i + 1] for value in inputs)) for i in range(2)]), both)
    for place in range(3):
        assert not torch.allclose(head(*(value.flip(0) if place == other else value
                                         for other, value in enumerate(inputs))), both)
    assert not torch.allclose(head(*inputs[:2], inputs[2].detach().flip(2)), both), 'it looks where the answer is'
    turned = inputs[0].flip(2), inputs[1], inputs[2].detach().flip(2)
    torch.testing.assert_close(head(*turned), both, msg='where on the image that is makes no difference')
    both.sum().backward()
    assert inputs[2].grad is None, "the mask's losses alone shape the answer"


def test_what_presence_sees_by_hand():
    presence = DynamicKernelHead(8, 8, 8, 1, 2, 8, presence={}).presence
    seen = {}
    for name in ('map', 'answer'):
        getattr(presence, f'{name}_layer').register_forward_pre_hook(
            lambda _, inputs, name=name: seen.update({name: inputs[0]}))
    x = torch.arange(32.0).reshape(1, 8, 2, 2)
    logits = torch.full((1, 1, 8, 8), -100.0)
    logits[..., :4, 4:] = 100.0  # the upper right quarter
    logits[..., 0, 4] = 200.0
    presence(x, torch.zeros(1, 8), logits)
    corner = torch.arange(8.0) * 4
    torch.testing.assert_close(seen['map'], torch.cat([corner + 1.5, corner + 3, corner + 1])[None])
    mean = (15 * 100 + 200 - 48 * 100) / 64
    torch.testing.assert_close(seen['answer'], torch.tensor([[20.0, (200 + 3 * 100) / 4 / 10, mean / 10]]))


def test_masks_are_learnt_of_what_is_there_alone(make_text):
    head, maps, text = make_head(presence={}), (torch.randn(2, 8, 3, 3), ), make_text(12)
    masks = torch.zeros(2, 12, 12, dtype=torch.uint8)
    masks[1, :6] = 1
    losses = head.loss(maps, text, make_samples(masks))
    there = head.loss_by_feat(head(maps, text)[1:], masks[1:, None])
    torch.testing.assert_close(losses['loss_ce'], there['loss_ce'])
    absent = head.loss(maps, text, make_samples(torch.zeros_like(masks)))
    assert absent['loss_ce'] == 0 and absent['loss_presence'] > 0


def test_loss_of_presence_by_hand(make_text):
    head = make_head(presence=dict(loss_weight=0.5))
    masks = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    masks[1, 0, 2, 2] = 1
    masks[2] = 255  # does not count
    logits = torch.tensor([1.0, 2.0, 50.0])
    expected = 0.5 * (math.log1p(math.exp(1)) + math.log1p(math.exp(-2))) / 2
    assert head.presence.loss(logits, masks).item() == pytest.approx(expected)
    assert head.presence.loss(logits[2:], masks[2:]).item() == 0
    losses = head.loss((torch.randn(2, 8, 3, 3), ), make_text(12), make_samples(masks[:2, 0]))
    assert set(losses) == {'loss_ce', 'loss_presence'}
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
