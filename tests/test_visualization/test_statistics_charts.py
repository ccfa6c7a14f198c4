import cv2
import pytest
from matplotlib.figure import Figure

from mmrefseg.visualization import bar_charts as statistics
from mmrefseg.visualization import draw_statistics

SPLIT = {'images': 1234, 'refs': 4, 'expressions': 10, 'words': {1: 2, 3: 6, 15: 1, 40: 1},
         'size': {'none': 1, '0-50 %': 3, '50-100 %': 0}, 'kinds': {'location': 9, 'attribute': 1},
         'expressions_per_ref': {2: 3, 4: 1}, 'refs_per_image': {4: 1}}
EMPTY = {'images': 0, 'refs': 0, 'expressions': 0, 'words': {}, 'size': dict.fromkeys(SPLIT['size'], 0),
         'kinds': {}, 'expressions_per_ref': {}, 'refs_per_image': {}}


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    figures = []
    monkeypatch.setattr(statistics, 'save_figure', lambda figure, path: figures.append(figure))
    return figures


def test_shares(drawn):
    draw_statistics({'cups': {'train': SPLIT, 'val': EMPTY}}, 'a.png')
    row, = drawn[0].subfigs
    words, size, kinds, expressions, refs = row.axes
    assert words.get_lines()[0].get_xydata().tolist() == [
        [1, 0.2], [2, 0], [3, pytest.approx(0.6)], *([i, 0] for i in range(4, 15)), [15, 0.2]]
    assert words.get_xticklabels()[-1].get_text() == '15+'
    assert size.get_lines()[0].get_ydata().tolist() == [0.25, 0.75, 0]
    assert [tick.get_text() for tick in size.get_xticklabels()] == ['none', '0-50 %', '50-100 %']
    assert [bar.get_height() for bar in kinds.patches] == [0.9, 0.1, 0, 0]
    assert expressions.get_lines()[0].get_xydata().tolist() == [[2, 0.75], [3, 0], [4, 0.25]]
    assert refs.get_lines()[0].get_xydata().tolist() == [[4, 1]]
    legend, = row.legends
    assert legend.get_texts()[0].get_text() == 'train: 1,234 images, 4 referents, 10 expressions'
    assert row.get_suptitle() == 'cups'


@pytest.mark.filterwarnings('error')
def test_pictures_of_any_text(tmp_path):
    strange = {**SPLIT, 'kinds': {'$x$': 1, 'y' * 30: 2, 'a': 1, 'b': 1, 'c': 1}}
    draw_statistics({'$a$ (unc)': {'train': SPLIT, '$\\b$': strange}, 'b' * 200: {'train': EMPTY}}, tmp_path / 'a.png')
    assert cv2.imread(str(tmp_path / 'a.png')).shape[0] > 1000


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='no data sets'):
        draw_statistics({}, 'a.png')
