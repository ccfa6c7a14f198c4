"""Protocols: their rules, and the masks that they make of logits."""
import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmrefseg.datasets.transforms import FastLetterbox, Letterbox, Stretch
from mmrefseg.errors import InputError
from mmrefseg.evaluation import PROTOCOLS, resolve_protocol, summarise_iou
from mmrefseg.evaluation.functional import pixel_counts, predicted_mask, truth_mask
from mmrefseg.evaluation.protocols import resolve_protocols

CRIS, LAVT, LISA = PROTOCOLS.values()


def counts(answer, truth):
    intersection, predicted, target = pixel_counts(answer, truth).tolist()
    return intersection, predicted + target - intersection


def test_golden_counts(golden_folder):
    """Logits of CRIS lie in a letterbox, those of LAVT in the stretched image."""
    golden = np.load(golden_folder / 'protocols.npz')
    for i, (height, width, *expected) in enumerate(golden['rows_h_w_crisI_crisU_stretchI_stretchU'].tolist()):
        shape = height, width
        truth = torch.from_numpy(np.unpackbits(golden[f'gt_{i}'], count=height * width).reshape(shape))
        logits, found = torch.from_numpy(golden[f'logit_{i}']), ()
        for protocol, transform in ((CRIS, Letterbox(448)), (LAVT, Stretch(480))):
            answer = predicted_mask(logits, protocol, transform.matrix(*shape), (transform.size, ) * 2, shape)
            found += counts(answer, truth_mask(truth, protocol))
        assert found == tuple(expected)


def slow_lookup(logits, matrix, input_size, ori_shape, frame):
    """Pixel by pixel: of the frame, on the image, in the input, among the logits."""
    found = np.zeros(frame)
    for row in range(frame[0]):
        for column in range(frame[1]):
            x = (column + 0.5) * ori_shape[1] / frame[1] - 0.5
            y = (row + 0.5) * ori_shape[0] / frame[0] - 0.5
            x, y = matrix @ (x, y, 1)
            x = min(max(x * (logits.shape[1] - 1) / (input_size[1] - 1), 0), logits.shape[1] - 1)
            y = min(max(y * (logits.shape[0] - 1) / (input_size[0] - 1), 0), logits.shape[0] - 1)
            left, top = int(x), int(y)
            right, bottom = min(left + 1, logits.shape[1] - 1), min(top + 1, logits.shape[0] - 1)
            upper = logits[top, left] * (1 - x + left) + logits[top, right] * (x - left)
            lower = logits[bottom, left] * (1 - x + left) + logits[bottom, right] * (x - left)
            found[row, column] = upper * (1 - y + top) + lower * (y - top)
    return found


@pytest.mark.parametrize('transform', [Letterbox(28), FastLetterbox(28), Stretch(28)], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize('shape', [(20, 30), (41, 9), (1, 12), (28, 28)])
@pytest.mark.parametrize('protocol', [
    LISA, resolve_protocol(dict(base='lavt', resolution=(24, 24))),
    resolve_protocol(dict(base='lisa', threshold=0.2, resolution=(3, 50)))], ids=lambda p: p.name)
def test_any_letterbox_against_a_slow_lookup(protocol, transform, shape):
    logits = torch.from_numpy(np.random.default_rng(sum(shape)).normal(size=(7, 9)).astype(np.float32))
    matrix = transform.matrix(*shape)
    slow = slow_lookup(logits.double().numpy(), matrix, (28, 28), shape, protocol.frame(*shape))
    level = np.log(protocol.threshold / (1 - protocol.threshold))
    clear = abs(slow - level) > 1e-4
    answer = predicted_mask(logits, protocol, matrix, (28, 28), shape)
    assert answer.dtype == torch.bool and answer.shape == protocol.frame(*shape)
    assert (answer.numpy() == (slow > level))[clear].all() and clear.mean() > 0.95


def test_logits_of_half_precision_and_of_one_row():
    logits = torch.tensor([[3.0, -3.0]], dtype=torch.bfloat16, requires_grad=True)
    answer = predicted_mask(logits, LISA, np.eye(2, 3), (1, 4), (1, 4))
    assert answer.tolist() == [[True, True, False, False]]


def test_the_threshold_is_exceeded_strictly():
    logits = torch.tensor([[0.0, 1e-6]])
    assert predicted_mask(logits, LISA, np.eye(2, 3), (1, 2), (1, 2)).tolist() == [[False, True]]


@pytest.mark.parametrize('side', [480, 7])
def test_truth_as_opencv_stretches_it(side):
    protocol = resolve_protocol(dict(base='lavt', resolution=(side, side)))
    linear = resolve_protocol(dict(base='lavt', resolution=(side, side), truth_interpolation='bilinear'))
    random = np.random.default_rng(0)
    for shape in [(333, 500), (500, 500), (1, 640), (97, 3), (1279, 20), (7, 480)]:
        truth = (random.random(shape) < 0.5).astype(np.uint8)
        nearest = cv2.resize(truth, (side, side), interpolation=cv2.INTER_NEAREST)
        assert (truth_mask(torch.from_numpy(truth), protocol).numpy() == nearest).all()
        soft = cv2.resize(truth * 255, (side, side), interpolation=cv2.INTER_LINEAR)
        assert (truth_mask(torch.from_numpy(truth), linear).numpy() == (soft > 127)).all()


def test_stretched_input_of_the_frames_size_is_interpolated_as_published():
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(30, 30)).astype(np.float32))
    expected = F.interpolate(logits[None, None], (480, 480), mode='bilinear', align_corners=True)[0, 0] > 0
    answer = predicted_mask(logits, LAVT, Stretch(480).matrix(427, 640), (480, 480), (427, 640))
    assert (answer != expected).sum() <= 2


def test_rules_of_the_published_protocols():
    assert (CRIS.resolution, CRIS.threshold, CRIS.interpolation, CRIS.empty_union, CRIS.comparison) == (
        'original', 0.35, 'bicubic', 0, '>')
    assert (LAVT.resolution, LAVT.threshold, LAVT.interpolation, LAVT.empty_union, LAVT.comparison) == (
        (480, 480), 0.5, 'bilinear', 0, '>=')
    assert (LISA.resolution, LISA.threshold, LISA.interpolation, LISA.empty_union, LISA.comparison) == (
        'original', 0.5, 'bilinear', 1, '>')
    assert {protocol.sentences for protocol in PROTOCOLS.values()} == {'every'}
    assert 'threshold' in LAVT.to_dict() and '480x480' in str(LAVT) and '>= X' in str(LAVT)


@pytest.mark.parametrize('protocol', PROTOCOLS.values(), ids=PROTOCOLS)
def test_rules_survive_a_file(protocol):
    assert resolve_protocol(protocol.to_dict()) == protocol


def test_what_differs_gives_the_name():
    changed = resolve_protocol(dict(base='lavt', resolution=[512, 512], threshold=0.5, comparison='>'))
    assert (changed.name, changed.resolution, changed.comparison) == ('lavt+resolution+comparison', (512, 512), '>')
    assert resolve_protocol(dict(base='lisa', name='mine', threshold=0.4)).name == 'mine'
    several = resolve_protocols(['lisa', dict(threshold=0.4)])
    assert [protocol.name for protocol in several] == ['lisa', 'cris+threshold']


@pytest.mark.parametrize(('setting', 'message'), [
    ('lvat', r"no protocol 'lvat'; did you mean 'lavt'\? There are cris, lavt, lisa"),
    ('x', 'There are cris, lavt, lisa'), (5, 'type int; there are cris, lavt, lisa'),
    (dict(base='coco'), "no protocol 'coco'"), (dict(thresh=1), "no rule 'thresh'; it has base, name, resolution"),
    (dict(threshold=float('nan')), 'threshold of the protocol'), (dict(threshold=1.5), 'from 0 to 1'),
    (dict(resolution='512'), 'resolution of the protocol'), (dict(resolution=(0, 5)), 'resolution'),
    (dict(empty_union=True), 'empty_union'), (dict(name='a/b'), "without '/'"), (dict(name=''), 'not empty'),
    (dict(comparison='<'), "it must be '>' or '>='"),
])
def test_what_is_no_protocol(setting, message):
    with pytest.raises(InputError, match=message):
        resolve_protocol(setting)


@pytest.mark.parametrize('setting', [[], ['cris', 'cris'], [dict(threshold=0.2), dict(threshold=0.3)]])
def test_several_need_different_names(setting):
    with pytest.raises(InputError, match='different names'):
        resolve_protocols(setting)


def test_rotation_is_refused():
    with pytest.raises(InputError, match='without rotation'):
        predicted_mask(torch.zeros(4, 4), LISA, np.array([[0, 1, 0], [1, 0, 0]]), (4, 4), (4, 4))


@pytest.mark.parametrize(('rule', 'mean', 'passed'), [(0, 140 / 3, 200 / 3), (1, 80, 100), ('skip', 70, 100)])
def test_empty_unions_by_hand(rule, mean, passed):
    # IoU 0.5, nothing at all, 0.9: the one of exactly 50 passes under '>='.
    found = summarise_iou([50, 0, 90], [100, 0, 100], (50, ), rule, '>=')
    assert found == pytest.approx({'mIoU': mean, 'oIoU': 70, 'Pr@50': passed})
    assert summarise_iou([50], [100], (50, ), rule, '>')['Pr@50'] == 0


def test_nothing_but_skipped_expressions():
    with pytest.raises(InputError, match='no expression counts'):
        summarise_iou([0], [0], empty_union='skip')
    assert summarise_iou([0], [0]) == dict.fromkeys(('mIoU', 'oIoU', 'Pr@50', 'Pr@60', 'Pr@70', 'Pr@80', 'Pr@90'), 0)
