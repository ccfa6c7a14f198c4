"""What all figures share."""
from __future__ import annotations

import textwrap
import warnings
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmrefseg.utils.files import check_writable, write_atomically

DPI = 150
KINDS = ('.png', '.jpg', '.jpeg', '.webp', '.pdf', '.svg')
INK, FAINT = '#22252b', '#787f8a'


def add_panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Empty axes without a frame, placed in inches from the figure's top left corner."""
    whole_width, whole_height = figure.get_size_inches()
    place = (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    ax = figure.add_axes(place)
    ax.set_axis_off()
    return ax


def check_picture(path: str | Path) -> None:
    """Make sure that a picture can be written, before work is done for it.

    Raises:
        ValueError: the ending is not that of a picture.
        OSError: the folder cannot be made or written.
    """
    if Path(path).suffix.lower() not in KINDS:
        raise ValueError(f'cannot draw into {str(path)!r}: the name must end in one of {", ".join(KINDS)}')
    check_writable(Path(path).parent)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure, completely or not at all.

    Args:
        figure (Figure): matplotlib's; needs no pyplot and no display.
        path (str | Path): the picture; its ending says which format. Its folder is made if it isn't there.

    Raises:
        ValueError: the ending is not that of a picture.
        OSError: the file cannot be written.
    """
    check_picture(path)
    picture = BytesIO()
    with warnings.catch_warnings():
        # Of characters that the font lacks, such as emoji; they become boxes.
        warnings.filterwarnings('ignore', message='Glyph', category=UserWarning)
        figure.savefig(picture, format=Path(path).suffix[1:].lower(), dpi=DPI, facecolor='white')
    write_atomically(picture.getvalue(), path)


def wrap(text: str, width: int, lines: int) -> str:
    """Break a text into lines of at most ``width`` characters; what doesn't fit into ``lines`` ends in an ellipsis."""
    return '\n'.join(textwrap.wrap(text, width, max_lines=lines, placeholder=' …'))
