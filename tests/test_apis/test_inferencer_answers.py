"""Results, streams, and one image asked again and again."""
import dataclasses
import json
import threading
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmrefseg.apis import RefSegInferencer, RefSegResult
from mmrefseg.apis.inference import ImageSource
from mmrefseg.errors import InputError, InputTypeError
from mmrefseg.evaluation.functional.calibration import Calibration
from mmrefseg.structures.mask_formats import rle_to_mask
from mmrefseg.utils.shipped_files import config_path

IMAGES = [np.random.default_rng(i).integers(0, 256, (24 + i, 32, 3), dtype=np.uint8) for i in range(5)]
TEXTS = ['left cup', 'the red one', 'all']


@pytest.fixture(scope='module')
def ask() -> RefSegInferencer:
    torch.manual_seed(0)
    return RefSegInferencer('sera_tiny_refshapes', None, 'cpu')


@pytest.fixture
def encoded(ask, monkeypatch) -> list[int]:
    """How many images were encoded in each call."""
    numbers, encode = [], ask._encode_image
    monkeypatch.setattr(ask, '_encode_image', lambda images: numbers.append(len(images)) or encode(images))
    return numbers


def by_hand(logits, image=None, threshold=0.35) -> RefSegResult:
    """An answer whose logits are its pixels."""
    logits = torch.as_tensor(logits, dtype=torch.float32)
    image = np.zeros((*logits.shape, 3), np.uint8) if image is None else image
    return RefSegResult('a cup', ImageSource(image), tuple(logits.shape), threshold, logits, tuple(logits.shape),
                        np.eye(2, 3))


PROBABILITY = np.full((6, 8), 0.1)
PROBABILITY[1:4, 2:7] = 0.9
PROBABILITY[2, 4] = 0.5


def test_result_by_hand():
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    result = by_hand(np.log(PROBABILITY / (1 - PROBABILITY)), image)
    mask = PROBABILITY > 0.35
    np.testing.assert_allclose(result.probability, PROBABILITY, atol=1e-3)
    np.testing.assert_array_equal(result.mask, mask)
    assert result.mask.dtype == bool and result.image_path is None
    assert result.score == pytest.approx((14 * 0.9 + 0.5) / 15, abs=1e-3)
    assert result.box == (2, 1, 7, 4)
    np.testing.assert_array_equal(rle_to_mask(result.rle, 6, 8), mask)
    filled = np.zeros((6, 8), np.uint8)
    cv2.fillPoly(filled, result.polygons, 1)
    np.testing.assert_array_equal(filled, mask)
    np.testing.assert_array_equal(np.asarray(result.crop()), image[1:4, 2:7])
    np.testing.assert_array_equal(np.asarray(result.crop(margin=0.4)), image[0:6, 0:8])
    assert json.loads(json.dumps(result.to_dict()))['box'] == [2, 1, 7, 4]
    strict = by_hand(result.logits, image, 0.6)
    assert strict.mask.sum() == 14 and strict.mask[2, 4] == 0
    with pytest.raises(AttributeError):
        result.threshold = 0.1


def test_an_empty_answer(tmp_path):
    result = by_hand(np.full((6, 8), -9.0))
    assert result.score == 0 and result.box is None and result.polygons == [] and result.crop() is None
    assert not result.mask.any() and result.to_dict()['box'] is None
    assert result.plot().width > 600


def test_saving(tmp_path):
    result = by_hand(np.log(PROBABILITY / (1 - PROBABILITY)))
    result.save(tmp_path / 'new/mask.png')
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'new/mask.png'), cv2.IMREAD_UNCHANGED), 255 * result.mask)
    result.save(tmp_path / 'answer.json')
    assert json.loads((tmp_path / 'answer.json').read_text()) == json.loads(json.dumps(result.to_dict()))
    with pytest.raises(InputError, match=r'must end in one of \.png'):
        result.save(tmp_path / 'mask.jpg')
    with pytest.raises(InputError, match='margin'):
        result.crop(-1)


def test_threshold(ask):
    middle = float(np.median(ask(IMAGES[0], 'the cup')[0].probability))
    low, high = (ask(IMAGES[0], 'the cup', threshold=value)[0] for value in (middle / 2, middle))
    assert (low.mask >= high.mask).all() and low.mask.sum() > high.mask.sum()
    np.testing.assert_array_equal(high.mask, high.probability > middle)
    assert ask(IMAGES[0], 'the cup')[0].threshold == ask.model.test_cfg['threshold']
    with pytest.raises(InputError, match='threshold .* got 1.5'):
        ask(IMAGES[0], 'the cup', threshold=1.5)


def test_an_image_is_encoded_once(ask, encoded):
    ask(IMAGES[0], [f'cup {i}' for i in range(11)], batch_size=4)
    assert encoded == [1]
    encoded.clear()
    results = ask(IMAGES[:3], [TEXTS, 'a', ['b', 'c']], batch_size=3)
    assert encoded == [1, 2]
    assert [(len(result.mask), result.expression) for result in results] == [
        (24, 'left cup'), (24, 'the red one'), (24, 'all'), (25, 'a'), (26, 'b'), (26, 'c')]


def test_a_batch_equals_single_calls(ask):
    together = ask(IMAGES, [TEXTS] * 5)
    for result in together:
        alone, = ask(IMAGES[result.size[0] - 24], result.expression, batch_size=1)
        torch.testing.assert_close(result.logits, alone.logits, atol=1e-4, rtol=0)


def test_one_image_again_and_again(ask, encoded):
    picture = ask.image(IMAGES[1])
    single, several = picture('left cup'), picture(TEXTS, batch_size=2)
    assert encoded == [1] and picture.size == (25, 32)
    assert isinstance(single, RefSegResult) and [result.expression for result in several] == TEXTS
    for result, expected in zip([single, *several], ask(IMAGES[1], ['left cup', *TEXTS]), strict=True):
        torch.testing.assert_close(result.logits, expected.logits, atol=1e-4, rtol=0)
    with pytest.raises(InputError, match='blank'):
        picture(' ')
    with pytest.raises(InputTypeError, match='got int'):
        picture(7)
    with pytest.raises(InputError, match='no expressions'):
        picture([])


def test_stream_reads_when_it_must(ask):
    given = []

    def images():
        for image in IMAGES:
            given.append(image)
            yield image

    stream = ask.stream(images(), ['left cup', 'all'], batch_size=4, progress=False)
    assert not given
    first = next(stream)
    assert first.expression == 'left cup' and len(given) == 2
    rest = [(result.size[0], result.expression) for result in stream]
    assert [(24, 'left cup'), *rest] == [(24 + i, text) for i in range(5) for text in ('left cup', 'all')]


def test_stream_of_pairs(ask):
    asked = [(IMAGES[0], 'a'), (IMAGES[1], ['b', 'c'])]
    assert [result.expression for result in ask.stream(iter(asked), progress=False)] == ['a', 'b', 'c']


def test_stream_goes_on_behind_what_cannot_be_read(ask, tmp_path):
    for i in (0, 2):
        Image.fromarray(IMAGES[i]).save(tmp_path / f'{i}.png')
    (tmp_path / '1.png').write_bytes(b'<html>')
    left_out = []
    results = list(ask.stream([tmp_path, tmp_path / 'none.png'], 'the cup', progress=False,
                              on_error=lambda source, error: left_out.append((source.path, str(error)))))
    assert [result.image_path for result in results] == [f'{tmp_path}/0.png', f'{tmp_path}/2.png']
    assert [path for path, _ in left_out] == [f'{tmp_path}/1.png', f'{tmp_path}/none.png']
    assert 'HTML' in left_out[0][1]
    with pytest.raises(InputError, match='HTML'):
        ask(tmp_path, 'the cup')


def test_stream_can_be_left(ask):

    def images():
        yield from IMAGES[:2]
        raise KeyboardInterrupt

    done = []
    with pytest.raises(KeyboardInterrupt):
        for result in ask.stream(images(), 'the cup', batch_size=1):
            done.append(result)
    assert [result.size[0] for result in done] == [24, 25] and all(result.mask.shape for result in done)


@pytest.mark.parametrize(('arguments', 'error'), [
    (dict(expressions=' '), InputError), (dict(expressions=7), InputTypeError), (dict(expressions=[]), InputError),
    (dict(expressions='a', batch_size=0), InputError), (dict(expressions='a', threshold=-1), InputError),
])
def test_stream_says_at_once_what_is_wrong(ask, arguments, error):
    with pytest.raises(error):
        ask.stream(IMAGES, **arguments)


def test_threads_share_it(ask):
    expected = {(i, text): ask(IMAGES[i], text)[0].logits for i in range(3) for text in TEXTS}
    failures, done = [], Counter()

    def work(i):
        picture = ask.image(IMAGES[i])
        for text in TEXTS:
            for result in (ask(IMAGES[i], text)[0], picture(text)):
                if not torch.allclose(result.logits, expected[i, text], atol=1e-4):
                    failures.append((i, text))
                done[i] += 1

    threads = [threading.Thread(target=work, args=(i, )) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and done == {0: 6, 1: 6, 2: 6}


def test_half_the_precision(ask):
    torch.manual_seed(0)
    half = RefSegInferencer('sera_tiny_refshapes', None, dtype='bfloat16', device='cpu')
    half.model.load_state_dict(ask.model.state_dict())
    exact, rough = (asking(IMAGES[0], 'the cup')[0].logits for asking in (ask, half))
    assert rough.dtype == torch.float32 and not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, atol=0.05 * float(exact.abs().max()), rtol=0)
    assert RefSegInferencer('sera_tiny_refshapes', None, dtype='auto').dtype in (torch.float32, torch.bfloat16)
    with pytest.raises(InputError, match="dtype is 'int8'"):
        RefSegInferencer('sera_tiny_refshapes', None, dtype='int8')


@pytest.mark.parametrize(('error', 'message'), [
    (torch.OutOfMemoryError('full'), 'Lower batch_size'), (torch.AcceleratorError('lost'), 'has stopped working'),
])
def test_a_device_that_gives_out(ask, monkeypatch, error, message):

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(ask, '_answer', fail)
    with pytest.raises(InputError, match=message):
        ask(IMAGES[0], 'the cup')


def test_compiled(ask, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, 'compile', lambda function: compiled.append(function.__name__) or function)
    RefSegInferencer('sera_tiny_refshapes', None, 'cpu', compile=True)
    assert compiled == ['encode_image', 'answer']


def test_confidence_comes_with_a_calibration():
    logits = np.log(PROBABILITY / (1 - PROBABILITY))
    result = by_hand(logits)
    assert result.confidence is None and result.to_dict()['confidence'] is None
    inside = PROBABILITY > 0.35
    overlap = PROBABILITY[inside].sum() / (inside.sum() + PROBABILITY[~inside].sum())
    calibrated = dataclasses.replace(result, calibration=Calibration(2.0, 0.5))
    expected = 1 / (1 + np.exp(-(np.log(overlap / (1 - overlap)) / 2 + 0.5)))
    assert calibrated.confidence == calibrated.to_dict()['confidence'] == pytest.approx(expected, abs=1e-5)
    assert calibrated.score == result.score
    assert dataclasses.replace(calibrated, threshold=1.0).confidence == 0


def test_the_config_calibrates():
    config = Config.fromfile(config_path('sera_tiny_refshapes'))
    config.model.test_cfg.calibration = dict(temperature=1.5, shift=0.1)
    answer = RefSegInferencer(config, None, 'cpu')(IMAGES[0], 'a cup')[0]
    assert answer.calibration == Calibration(1.5, 0.1) and 0 <= answer.confidence <= 1


def test_instances_of_an_answer():
    mask = np.full((6, 8), -9.0)
    mask[1:3, 1:3] = mask[4, 6] = 9
    assert [int(part.sum()) for part in by_hand(mask).instances()] == [4, 1]
    assert len(by_hand(mask).instances(min_pixels=2)) == 1
