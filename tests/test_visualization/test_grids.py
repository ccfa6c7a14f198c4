"""The two grids of pictures: answers and samples."""
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmrefseg.visualization import Panel, Sample, draw_answers, draw_samples, prediction_grid
from mmrefseg.visualization.answer_pictures import compose_answers

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
MASK = np.eye(60, 80) > 0


def sample(expression: str = 'the left cup', origin: str = 'testA, location') -> Sample:
    return Sample(IMAGE, MASK, ~MASK, expression, 0.423, origin)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    figures = []
    monkeypatch.setattr(prediction_grid, 'save_figure', lambda figure, path: figures.append(figure))
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
    for figure in drawn:
        boxes = [ax.get_position() for ax in figure.axes]
        assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize(('number', 'columns', 'rows'), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (7, 3, 3)])
def test_answers_grid(number, columns, rows):
    panels = [Panel(np.full((100, 200, 3), 20 * i, np.uint8), np.ones((100, 200)), f'cup {i}') for i in range(number)]
    picture = np.asarray(compose_answers(panels))
    assert picture.shape == (18 + rows * (70 + 315), 18 + columns * (630 + 18), 3)
    for i in range(number):
        row, column = divmod(i, columns)
        assert (picture[70 + 385 * row + 157, 18 + 648 * column + 315] == 20 * i).all()
        caption = picture[385 * row:385 * row + 70, 18 + 648 * column:648 * (column + 1)]
        assert (caption < 128).any()


def test_answers_shown_by_hand():
    """A mask of the left half keeps its colours, the right half fades, and the outline lies between."""
    image, mask = np.full((700, 700, 3), 100, np.uint8), np.zeros((700, 700))
    mask[:, :350] = 1
    panel = np.asarray(compose_answers([Panel(image, mask, '')]))[70:770, 18:718]
    assert (panel[350, 100] == 100).all() and (panel[350, 600] == 194).all()
    assert (panel[350, 349] == (255, 45, 135)).all() and (panel[1, 100] == (255, 45, 135)).all()


@pytest.mark.parametrize(('width', 'shown'), [(1200, 1200), (4000, 1440), (80, 630)])
def test_resolution_of_answers(width, shown):
    photo = np.zeros((30, width, 3), np.uint8)
    assert compose_answers([Panel(photo, np.zeros((30, width)), 'nothing')]).width == shown + 36


def test_a_tiny_referent_stays_visible():
    mask = np.zeros((3000, 4000))
    mask[1500, 2000] = 1
    panel = np.asarray(compose_answers([Panel(np.zeros((3000, 4000, 3), np.uint8), mask, '')]))
    assert (panel == (255, 45, 135)).all(axis=2).any()


def test_many_answers_share_the_room():
    side = 1200
    panels = (Panel(np.zeros((side, side, 3), np.uint8), np.zeros((side, side)), 'a') for _ in range(75))
    assert 75 * side**2 > 100_000_000
    picture = compose_answers(panels, 75)
    assert picture.width * picture.height < 100_000_000


TEXTS = ['$\\nonsense$ of TeX', '$', 'a\tb\nc', '🦊 ' * 100, 'x' * 1_000_000, '', ' ', '\ud800', 'a\udcffb',
         'a\0b\x1b[31m\x85', 'a\u200bb\u200d\ufeff', '\u202ered cup\u202c', 'الكأس الأحمر', 'e' + '\u0301' * 300,
         '\uffff\ue000\U0010ffff', 'a\u2028b', '红色的杯子', '👨\u200d👩\u200d👧']


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('suffix', ['png', 'svg', 'pdf'])
def test_any_text_is_drawn(tmp_path, suffix):
    path = tmp_path / f'answers.{suffix}'
    draw_answers([Panel(IMAGE[:6, :8], MASK[:6, :8], text) for text in TEXTS], path)
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
    draw_answers([Panel(line, np.ones(shape), 'line')], tmp_path / 'answers.png')
    draw_samples([Sample(line, np.ones(shape), np.zeros(shape), 'line', 0.0, '')], tmp_path / 'samples.png')
    assert max(cv2.imread(str(tmp_path / 'answers.png')).shape) < 5000


def test_mask_of_another_size():
    with pytest.raises(ValueError, match='both must have one size'):
        compose_answers([Panel(IMAGE, MASK[:-1], 'cup')])


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no answers'):
        draw_answers([], 'answers.png')
    with pytest.raises(ValueError, match='no samples'):
        draw_samples([], 'samples.png')
