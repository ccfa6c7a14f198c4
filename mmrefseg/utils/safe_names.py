"""Names that come from files, made safe before they become paths."""
from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from mmrefseg.errors import InputError

LONGEST_PART = 255
"""Bytes of a file's or folder's name; what file systems take."""

LONGEST_NAME = 1024
"""Bytes of a name with its folders."""

# A split's name gets endings, and those of unfinished files.
_LONGEST_SPLIT = 100

_DRIVE = re.compile('[A-Za-z]:')
_CONTROL = re.compile(r'[\0-\x1f\x7f]')
_DEVICE = re.compile(r'(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?', re.IGNORECASE)


def relative_name(name: str, where: str) -> str:
    """A name that a file gives to another file, as a path that leads to no place outside the folder it is relative to.

    What this doesn't see are links on the disk, which are not the file's doing; see :func:`refuse_links_out`.

    Args:
        name: the name, with or without folders.
        where: file, element and field, for errors.

    Returns:
        The same without ``.`` and doubled slashes, so that each file has one name.

    Raises:
        InputError: it is empty, absolute or longer than file systems take, starts with a drive letter, or has ``..``,
            backslashes, control characters or half a character (a lone surrogate).
    """
    if '\\' in name or name.startswith('/') or _DRIVE.match(name) or '..' in name.split('/'):
        raise InputError(f"{where} must be a path below its folder, with '/' between folders and without '..', got "
                         f'{name[:200]!r}')
    parts = PurePosixPath(name).parts
    if not parts or _CONTROL.search(name) or not _is_unicode(name):
        raise InputError(f'{where} must be the name of a file, without control characters, got {name[:200]!r}')
    if max(map(_size, parts)) > LONGEST_PART or _size(name) > LONGEST_NAME:
        raise InputError(f'{where} is too long for a path: at most {LONGEST_PART} bytes per name and {LONGEST_NAME} in '
                         f'all, got {name[:80]!r}...')
    return '/'.join(parts)


def split_name(name: str, where: str) -> str:
    """The name that a file gives to a split, checked: files are called after it, here and perhaps on other systems.

    Args:
        name: the name.
        where: file and field, for errors.

    Raises:
        InputError: it is not as :func:`relative_name` has it, has folders, starts with a dot or, as options of commands
            do, with a dash, is longer than 100 bytes, or is what Windows calls a device.
    """
    if (relative_name(name, where) != name or '/' in name or name.startswith(('.', '-')) or _size(name) > _LONGEST_SPLIT
            or _DEVICE.fullmatch(name)):
        raise InputError(f"{where} must be a split's name that files can be called after, such as train or testA, got "
                         f'{name[:200]!r}')
    return name


def refuse_links_out(path: str, folder: str, mend: str = '') -> None:
    """Make sure that links don't lead from a folder to a place outside.

    Args:
        path: a path below the folder.
        folder: the folder; may be a link itself.
        mend: what to do instead of copying the file, for errors. Default none.

    Raises:
        InputError: it does.
    """
    real, top = os.path.realpath(path), os.path.realpath(folder)
    if os.path.commonpath((real, top)) != top:
        raise InputError(f'{path} is a link to {real}, outside of {folder}. Copy the file there{mend}')


def _is_unicode(name: str) -> bool:
    return not any('\ud800' <= character <= '\udfff' for character in name)


def _size(name: str) -> int:
    return len(name.encode())
