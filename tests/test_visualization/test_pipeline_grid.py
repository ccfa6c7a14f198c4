import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmrefseg.visualization import Pair, Panel, draw_pairs
from mmrefseg.visualization import pipeline_grid as pairs

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
MASK = np.eye(60, 80) > 0
PAIR = Pair(Panel(IMAGE, MASK, 'left cup / red cup'), Panel(IMAGE[:50, :50], MASK[:50, :50], 'red cup'), 'ref 3')


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    figures = []
    monkeypatch.setattr(pairs, 'save_figure', lambda figure, path: figures.append(figure))
    return figures


def test_everything_is_shown(drawn):
    draw_pairs([PAIR], 'pairs.png')
    before, after = drawn[0].axes
    assert [text.get_text() for text in before.texts] == ['left cup / red cup', 'ref 3']
    assert [text.get_text() for text in after.texts] == ['red cup', 'after the pipeline: 50x50']
    np.testing.assert_array_equal((before.images[0].get_array() == IMAGE).all(axis=2), MASK)
    assert after.images[0].get_array().shape == (50, 50, 3)


@pytest.mark.parametrize('number', [1, 2, 3, 7])
def test_nothing_overlaps(drawn, number):
    tall = Panel(np.zeros((90, 30, 3), np.uint8), np.ones((90, 30)), 'word ' * 100)
    draw_pairs([PAIR, *[Pair(tall, tall, 'a_long_name' * 20)] * (number - 1)], 'pairs.png')
    figure = drawn[0]
    figure.draw_without_rendering()
    boxes = [box for ax in figure.axes for box in (ax.get_window_extent(), *(t.get_window_extent() for t in ax.texts))]
    width, height = figure.get_size_inches() * figure.dpi
    assert len(boxes) == 6 * number
    for i, a in enumerate(boxes):
        assert 0 <= a.x0 < a.x1 <= width and 0 <= a.y0 < a.y1 <= height
        for b in boxes[:i]:
            assert min(a.x1, b.x1) - max(a.x0, b.x0) <= 1 or min(a.y1, b.y1) - max(a.y0, b.y0) <= 1


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('text', ['$\\nonsense$ of TeX', 'a\tb\nc', '🦊 ' * 100, 'x' * 3000])
def test_any_text_is_drawn(tmp_path, text):
    draw_pairs([Pair(Panel(IMAGE, MASK, text), Panel(IMAGE, MASK, text), text)], tmp_path / 'pairs.png')
    assert cv2.imread(str(tmp_path / 'pairs.png')) is not None


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no samples'):
        draw_pairs([], 'pairs.png')
