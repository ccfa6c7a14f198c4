"""What all figures share."""
from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category

from matplotlib import colormaps

from mmrefseg.errors import InputError
from mmrefseg.utils.files import check_writable, write_atomically

if TYPE_CHECKING:  # what draws pictures without figures starts without them
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
FILE_ENDINGS = ('.png', '.jpg', '.jpeg', '.webp', '.pdf', '.svg')
# By Unicode's category: controls, formatting, surrogates, and what is no character.
_STAND_INS = {'Cc': ' ', 'Cf': '', 'Cs': '\ufffd', 'Cn': '\ufffd'}

INK, FAINT = '#22252b', '#787f8a'


def add_panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add empty axes without a frame, placed in inches.

    Args:
        figure: the figure.
        left: distance from the figure's left edge.
        top: distance from the figure's upper edge.
        width: width of the axes.
        height: height of the axes.
    """
    whole_width, whole_height = figure.get_size_inches()
    rectangle = (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    ax = figure.add_axes(rectangle)
    ax.set_axis_off()
    return ax


def dress(ax: Axes, title: str) -> None:
    """Give a diagram the title and the lines that all diagrams have.

    Args:
        ax: the diagram.
        title: what stands above it.
    """
    ax.set_title(drawable(title), fontsize=10, color=INK, fontweight='bold', loc='left', parse_math=False)
    ax.grid(color='#e6e8eb', linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[['top', 'right']].set_visible(False)
    ax.spines[['left', 'bottom']].set_color(FAINT)
    ax.tick_params(which='both', colors=FAINT, labelsize=8)


def expert_colours(experts: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """A colour for each expert, in the order of their first mention.

    Args:
        experts: names of the experts; each may come several times.
    """
    names = list(dict.fromkeys(experts))
    return dict(zip(names, colormaps['Dark2'].colors * len(names), strict=False))


def add_legend(figure: Figure, axes: Iterable[Axes], title: str) -> None:
    """Explain below the figure what its diagrams label, bars ahead of lines.

    Args:
        figure: the figure.
        axes: its diagrams; a label that occurs in several is explained once.
        title: what stands above the legend.
    """
    from matplotlib.lines import Line2D

    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    labels = sorted(handles, key=lambda label: isinstance(handles[label], Line2D))
    legend = figure.legend([handles[label] for label in labels], list(map(drawable, labels)), frameon=False, ncols=8,
                           loc='outside lower center', fontsize=9, title=title, title_fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)


def check_picture(path: str | Path) -> None:
    """Make sure that a picture can be written, before work is done for it.

    Args:
        path: where the picture is to go.

    Raises:
        InputError: the ending is not that of a picture.
        FileError: the folder cannot be made or written.
    """
    if Path(path).suffix.lower() not in FILE_ENDINGS:
        raise InputError(f'cannot draw into {str(path)!r}: the name must end in one of {", ".join(FILE_ENDINGS)}')
    check_writable(Path(path).parent)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure, completely or not at all.

    Args:
        figure: matplotlib's; needs no pyplot and no display.
        path: the picture; its ending says which format. Its folder is made if it isn't there.

    Raises:
        InputError: the ending is not that of a picture.
        FileError: the file cannot be written.
    """
    check_picture(path)
    picture = BytesIO()
    with warnings.catch_warnings():
        # Of characters that the font lacks, such as emoji; they become boxes.
        warnings.filterwarnings('ignore', message='Glyph', category=UserWarning)
        figure.savefig(picture, format=Path(path).suffix[1:].lower(), dpi=DPI, facecolor='white')
    write_atomically(picture.getvalue(), path)


def wrap(text: str, width: int, lines: int) -> str:
    """Break a text into lines; an ellipsis stands for what doesn't fit.

    Args:
        text: the text, of any length.
        width: characters per line, at most.
        lines: how many lines, at most.
    """
    # Never more than could be shown: breaking a word of a million letters takes minutes.
    words = ' '.join(drawable(text[:100 * width * lines]).split())[:(width + 1) * lines + 1]
    return '\n'.join(textwrap.wrap(words, width, max_lines=lines, placeholder=' …'))


def drawable(text: str) -> str:
    """A text without what has no picture, at which drawing would fail: controls, invisible and broken characters.

    Args:
        text: the text.
    """
    return ''.join(_STAND_INS.get(category(character), character) for character in text)
