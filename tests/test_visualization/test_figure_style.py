"""What all figures share."""
import cv2
import pytest
from matplotlib.figure import Figure

from mmrefseg.visualization.figure_style import add_panel, check_picture, save_figure, wrap


def test_wrap():
    assert wrap('the red cup', 46, 2) == 'the red cup'
    assert wrap('the red cup on the left', 11, 2) == 'the red cup\non the left'
    lines = wrap('word ' * 500, 30, 2).split('\n')
    assert len(lines) == 2 and max(map(len, lines)) <= 30 and lines[1].endswith('…')
    assert max(map(len, wrap('x' * 500, 30, 2).split('\n'))) <= 30


def test_add_panel_counts_from_the_top():
    figure = Figure((10, 5))
    ax = add_panel(figure, left=1, top=0.5, width=2, height=3)
    assert ax.get_position().bounds == pytest.approx((0.1, 0.3, 0.2, 0.6))


@pytest.mark.filterwarnings('error')
def test_save_figure(tmp_path):
    figure = Figure((2, 1))
    figure.text(0, 0.5, 'emoji 🦊')
    save_figure(figure, tmp_path / 'new' / 'picture.PNG')
    assert cv2.imread(str(tmp_path / 'new' / 'picture.PNG')).shape == (150, 300, 3)
    assert [file.name for file in (tmp_path / 'new').iterdir()] == ['picture.PNG']


@pytest.mark.parametrize('name', ['picture', 'picture.txt', 'picture.'])
def test_names_that_are_no_pictures(tmp_path, name):
    with pytest.raises(ValueError, match=r'must end in one of \.png'):
        check_picture(tmp_path / name)
    with pytest.raises(ValueError, match=r'must end in one of \.png'):
        save_figure(Figure(), tmp_path / name)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='cannot write'):
        check_picture(tmp_path / 'file' / 'picture.png')
