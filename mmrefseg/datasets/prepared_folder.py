"""Names in the folder of a prepared data set."""
from __future__ import annotations

from pathlib import Path

from mmrefseg.errors import InputError

MANIFEST = 'prepared.json'
"""Written last; tells that the folder is whole."""

UNFINISHED = '.unfinished'
"""Folder of a preparation on its way."""

ANNOTATIONS = 'annotations'
IMAGES = 'images'
LMDB = 'data.lmdb'
BROKEN = 'broken.json'


def index_of(lines: Path) -> Path:
    """The index that lies beside a file of lines.

    Args:
        lines: path of the lines.
    """
    return lines.with_suffix('.index.json')


def checksums_of(lines: Path) -> Path:
    """The file beside a file of lines that holds the SHA-256 of each image, by the image's name.

    Args:
        lines: path of the lines.
    """
    return lines.with_suffix('.images.json')


def check_finished(folder: str | Path) -> None:
    """Make sure that no preparation of a folder was interrupted.

    Args:
        folder: the folder; where nothing was ever prepared, nothing is asked.

    Raises:
        InputError: one was, or is still on its way.
    """
    if Path(folder, UNFINISHED).exists():
        raise InputError(f'{folder} is not whole: its preparation is on its way or was interrupted. Run the same '
                         'prepare.py command again: it goes on where it stopped.')
