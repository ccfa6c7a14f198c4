"""The two grids of pictures: answers and samples."""
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmrefseg.visualization import Answer, Sample, draw_answers, draw_samples
from mmrefseg.visualization import image_grids as answers
from mmrefseg.visualization import image_grids as samples

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
MASK = np.eye(60, 80) > 0


def sample(expression: str = 'the left cup', origin: str = 'testA, location') -> Sample:
    return Sample(IMAGE, MASK, ~MASK, expression, 0.423, origin)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    figures = []
    for module in (answers, samples):
        monkeypatch.setattr(module, 'save_figure', lambda figure, path: figures.append(figure))
    return figures


def test_samples_show_everything(drawn):
    draw_samples([sample() for _ in range(12)], 'samples.png')
    axes = drawn[0].axes
    assert len(axes) == 36
    image, truth, prediction = axes[:3]
    assert truth.get_title() == 'the left cup'
    assert [ax.texts[0].get_text() for ax in axes[:3]] == ['testA, location', 'ground truth', 'prediction, IoU 42 %']
    np.testing.assert_array_equal(image.images[0].get_array(), IMAGE)
    for ax, mask in ((truth, MASK), (prediction, ~MASK)):
        shown = ax.images[0].get_array()
        np.testing.assert_array_equal((shown == IMAGE).all(axis=2), mask)


def test_panels_do_not_overlap(drawn):
    draw_samples([sample() for _ in range(7)], 'samples.png')
    draw_answers([Answer(IMAGE, MASK, 'cup')] * 5, 'answers.png')
    for figure in drawn:
        boxes = [ax.get_position() for ax in figure.axes]
        assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize(('number', 'columns'), [(1, 1), (2, 2), (3, 3), (7, 3)])
def test_answers_grid(drawn, number, columns):
    draw_answers([Answer(IMAGE, MASK, f'cup {i}') for i in range(number)], 'answers.png')
    assert [ax.get_title() for ax in drawn[0].axes] == [f'cup {i}' for i in range(number)]
    assert len({ax.get_position().x0 for ax in drawn[0].axes}) == columns


def test_photo_keeps_its_resolution(drawn):
    photo = np.zeros((900, 1200, 3), np.uint8)
    draw_answers([Answer(photo, np.zeros((900, 1200)), 'nothing')], 'answers.png')
    figure = drawn[0]
    assert figure.axes[0].get_position().width * figure.get_figwidth() * 150 == pytest.approx(1200)


TEXTS = ['$\\nonsense$ of TeX', '$', 'a\tb\nc', '🦊 ' * 100, 'x' * 1_000_000, '', ' ', '\ud800', 'a\udcffb',
         'a\0b\x1b[31m\x85', 'a\u200bb\u200d\ufeff', '\u202ered cup\u202c', 'الكأس الأحمر', 'e' + '\u0301' * 300,
         '\uffff\ue000\U0010ffff', 'a\u2028b', '红色的杯子', '👨\u200d👩\u200d👧']


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('suffix', ['png', 'svg', 'pdf'])
def test_any_text_is_drawn(tmp_path, suffix):
    path = tmp_path / f'answers.{suffix}'
    draw_answers([Answer(IMAGE[:6, :8], MASK[:6, :8], text) for text in TEXTS], path)
    if suffix == 'png':
        assert cv2.imread(str(path)) is not None
    elif suffix == 'svg':
        ElementTree.parse(path)
    else:
        assert path.read_bytes().startswith(b'%PDF')


@pytest.mark.filterwarnings('error')
def test_any_origin_is_drawn(tmp_path):
    draw_samples([sample(origin=text) for text in ('\ud800', 'x' * 1_000_000)], tmp_path / 'samples.png')
    assert cv2.imread(str(tmp_path / 'samples.png')) is not None


@pytest.mark.parametrize('shape', [(1, 2000), (2000, 1), (1, 1)])
def test_extreme_images(tmp_path, shape):
    line = np.zeros((*shape, 3), np.uint8)
    draw_answers([Answer(line, np.ones(shape), 'line')], tmp_path / 'answers.png')
    draw_samples([Sample(line, np.ones(shape), np.zeros(shape), 'line', 0.0, '')], tmp_path / 'samples.png')
    assert max(cv2.imread(str(tmp_path / 'answers.png')).shape) < 5000


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no answers'):
        draw_answers([], 'answers.png')
    with pytest.raises(ValueError, match='no samples'):
        draw_samples([], 'samples.png')
