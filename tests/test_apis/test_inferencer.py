"""Asking a tiny model with random weights."""
import io

import cv2
import numpy as np
import pytest
import torch
from helpers.oriented_images import write_oriented
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmrefseg.apis import RefSegInferencer
from mmrefseg.apis.inference import inferencer
from mmrefseg.datasets import RefCOCODataset
from mmrefseg.datasets.transforms.loading import read_image
from mmrefseg.registry import INFERENCERS
from mmrefseg.utils.shipped_files import config_path

CONFIG = 'sera_tiny_refshapes'


@pytest.fixture(scope='module')
def ask() -> RefSegInferencer:
    torch.manual_seed(0)
    return RefSegInferencer(CONFIG, None, 'cpu')


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> list[str]:
    """A landscape of 32×24, a portrait of 20×40 and another landscape."""
    root = write_refcoco(tmp_path_factory.mktemp('data') / 'tiny', tiny_refcoco())
    return [str(root / 'images' / name) for name in ('one.jpg', 'two.png', 'three.jpg')]


def test_registered():
    assert INFERENCERS.get('RefSegInferencer') is RefSegInferencer


def test_one_image_with_several_expressions(ask, images):
    results = ask(images[0], ['left cup', 'red cup', 'all'])
    assert [result.expression for result in results] == ['left cup', 'red cup', 'all']
    for result in results:
        assert result.mask.shape == (24, 32) and result.mask.dtype == bool
        assert result.image_path == images[0]
        assert 0 <= result.score <= 1
    assert len({result.score for result in results}) == 3


def test_several_images_with_one_expression(ask, images):
    results = ask(images, 'the cup')
    assert [result.mask.shape for result in results] == [(24, 32), (40, 20), (24, 32)]
    assert [result.image_path for result in results] == images


def test_pairs_and_batch_size(ask, images):
    expressions = ['left cup', 'tall man', 'corner']
    together = ask(images, expressions)
    for image, expression, result in zip(images, expressions, together, strict=True):
        alone, = ask([image], [expression], batch_size=1)
        np.testing.assert_array_equal(result.mask, alone.mask)
        assert result.score == pytest.approx(alone.score, abs=1e-5)
    assert [result.score for result in ask(images, expressions, batch_size=2)] == pytest.approx(
        [result.score for result in together], abs=1e-5)


@pytest.mark.parametrize(('num_images', 'num_expressions'), [(2, 3), (3, 2), (0, 1), (1, 0), (0, 0)])
def test_numbers_that_do_not_go_together(ask, images, num_images, num_expressions):
    with pytest.raises(ValueError, match=f'{num_images} images and {num_expressions} expressions'):
        ask(images[:num_images], ['a', 'b', 'c'][:num_expressions])


def test_agrees_with_the_test_pipeline(ask, images):
    """The whole test pipeline on the data set's own sample gives the same mask."""
    config = Config.fromfile(config_path(CONFIG))
    root = images[0].removesuffix('/images/one.jpg')
    dataset = RefCOCODataset(root, split='val', pipeline=config.test_dataloader.dataset.pipeline)
    item = dataset[0]
    with torch.no_grad():
        sample, = ask.model.test_step({key: [value] for key, value in item.items()})
    result, = ask(images[2], 'everything')
    np.testing.assert_array_equal(result.mask, sample.pred_sem_seg.data[0].numpy() != 0)


def test_arrays_are_rgb(ask, images):
    rgb = read_image(images[1])
    before = rgb.copy()
    of_array, of_path, of_bgr = ask([rgb, images[1], rgb[..., ::-1]], 'tall man')
    assert of_array.image_path is None and of_array.score == of_path.score
    np.testing.assert_array_equal(of_array.mask, of_path.mask)
    assert of_bgr.score != of_path.score
    np.testing.assert_array_equal(rgb, before)


def test_files_are_taken_upright(ask, tmp_path):
    stored = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    upright = write_oriented(tmp_path / 'a.png', stored, 6)
    of_file, of_array = ask([str(tmp_path / 'a.png'), upright], 'the cup')
    assert of_file.mask.shape == (60, 40) and of_file.score == of_array.score
    np.testing.assert_array_equal(of_file.mask, of_array.mask)


def test_strange_but_valid_questions(ask):
    line = np.full((1, 2000, 3), 99, np.uint8)
    results = ask(line, ['a line', ' '.join(['word'] * 500), '🦊🦊'])
    assert [result.mask.shape for result in results] == [(1, 2000)] * 3


@pytest.mark.parametrize('expression', ['', ' \n\t'])
def test_blank_expression(ask, images, expression):
    with pytest.raises(ValueError, match='blank'):
        ask(images[0], ['the cup', expression])


@pytest.mark.parametrize(('image', 'error', 'message'), [
    (np.zeros((4, 5, 2), np.uint8), ValueError, r'\(4, 5, 2\)'),
    (np.zeros((3, 4, 5), np.uint8), ValueError, r'channels come last'),
    (np.full((4, 5), 99, np.uint16), ValueError, 'no value is above 99'),
    (np.zeros((2, 4, 5, 3), np.uint8), ValueError, 'as a list'),
    (np.zeros((4, 5, 3), np.float32), ValueError, r'float32 .* \(255 \* image\)'),
    (np.zeros((0, 5, 3), np.uint8), ValueError, r'\(0, 5, 3\)'),
    (torch.zeros(2, 3, 4, 5), ValueError, 'as a list'),
    (torch.full((3, 4, 5), 2.0), ValueError, 'outside 0 to 1'),
    ({'a': 1}, TypeError, 'got dict'),
    (7, TypeError, 'got int'),
    (io.StringIO('a'), TypeError, 'mode .rb'),
    ('nowhere/one.jpg', FileNotFoundError, 'nowhere/one.jpg'),
])
def test_unfit_image(ask, image, error, message):
    with pytest.raises(error, match=message):
        ask(image, 'the cup')


def test_expression_of_another_type(ask, images):
    with pytest.raises(TypeError, match='must be a string, got int'):
        ask(images[0], 7)


def test_batch_size_zero(ask, images):
    with pytest.raises(ValueError, match='batch_size .* got 0'):
        ask(images[0], 'the cup', batch_size=0)


def test_damaged_image(ask, tmp_path):
    (tmp_path / 'empty.jpg').touch()
    with pytest.raises(ValueError, match=r'empty.jpg is empty'):
        ask(tmp_path / 'empty.jpg', 'the cup')


def test_draws(ask, images, tmp_path):
    ask(images, ['left cup', 'tall man', 'costs $5 or $6'], out=tmp_path / 'new/answers.png')
    picture = cv2.imread(str(tmp_path / 'new/answers.png'))
    assert picture.shape[1] > 3 * 600 and picture.std() > 10


def test_refuses_a_bad_picture_before_the_work(ask, images, tmp_path, monkeypatch):
    monkeypatch.setattr(ask, '_encode_image', lambda images: pytest.fail('the model ran'))
    with pytest.raises(ValueError, match='must end in one of .png'):
        ask(images[0], 'the cup', out=tmp_path / 'answers.txt')
    with pytest.raises(OSError, match='cannot write'):
        ask(images[0], 'the cup', out=f'{images[0]}/answers.png')


def test_weights(ask, images, tmp_path):
    torch.save({'state_dict': ask.model.state_dict(), 'meta': {}}, tmp_path / 'weights.pth')
    again = RefSegInferencer(config_path(CONFIG), tmp_path / 'weights.pth', 'cpu')
    assert not again.model.training
    assert again(images[0], 'left cup')[0].score == ask(images[0], 'left cup')[0].score


def test_weights_of_another_architecture(ask, tmp_path):
    state = ask.model.state_dict()
    state['neck.stranger'] = state.pop('decode_head.kernel.bias')
    torch.save(state, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=r'(?s)weights.pth is of another.*decode_head.kernel.bias.*neck.stranger'):
        RefSegInferencer(CONFIG, tmp_path / 'weights.pth', 'cpu')


def test_missing_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.pth'):
        RefSegInferencer(CONFIG, tmp_path / 'none.pth', 'cpu')


def test_no_weights_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(inferencer, 'print_log', lambda message, *rest: said.append(message))
    RefSegInferencer(CONFIG, None, 'cpu')
    assert len(said) == 1 and 'random weights' in said[0]


def test_config_of_another_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        RefSegInferencer(CONFIG, None, 'cpu')
        assert DefaultScope.get_current_instance().scope_name == 'mmseg'


def test_unfit_config():
    with pytest.raises(FileNotFoundError, match='did you mean sera'):
        RefSegInferencer('sera_tiny_refshaps', None)
    with pytest.raises(ValueError, match='has no model'):
        RefSegInferencer('_base_/datasets/refshapes', None)
    with pytest.raises(ValueError, match='no test_dataloader.dataset.pipeline'):
        RefSegInferencer(Config({'model': {'type': 'ReferringSegmentor'}}), None)


@pytest.mark.parametrize(('device', 'message'), [('gpu', "'gpu' is no device"), ('cuda:99', 'PyTorch sees')])
def test_unknown_device(device, message):
    with pytest.raises(ValueError, match=message):
        RefSegInferencer(CONFIG, None, device)


def test_images_that_the_backbone_cannot_take():
    config = Config.fromfile(config_path(CONFIG))
    letterbox = next(step for step in config.test_dataloader.dataset.pipeline if step.type == 'Letterbox')
    letterbox.size = 100
    with pytest.raises(ValueError, match='size of Letterbox in .*_dataloader is 100 × 100 pixels; .* multiples of 14'):
        RefSegInferencer(config, None, 'cpu')
