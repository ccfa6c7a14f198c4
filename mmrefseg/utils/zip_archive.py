"""Zip archives of others, whose directory is bounded before anything is made of it."""
from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

MAX_MEMBERS = 1 << 19
"""Archives of more files are refused; Visual Genome's, the largest known, have 65,000, COCO's 120,000."""

MAX_DIRECTORY = 1 << 26
"""Bytes of an archive's list of members; COCO's has 15 MB."""

_ENTRY = struct.Struct('<28x3H12x')  # of the directory: lengths of name, extra fields and comment
_SIGNATURE = b'PK\1\2'
_LOCAL_HEADER = 30  # bytes before each member's name and content
_ZIP64_RECORDS = 76  # bytes between the directory and its end record, where sizes take 64 bits


def open_archive(file: BinaryIO) -> zipfile.ZipFile:
    """Open an archive for reading.

    What a small file could say a million times is looked at first: ``zipfile`` makes an object of each member that the
    directory lists, whatever the number that the archive declares. Members that share bytes would unpack to far more
    than the archive has.

    Args:
        file: the open archive.

    Raises:
        zipfile.BadZipFile: it is none, damaged, its directory has more than ``MAX_MEMBERS`` or ``MAX_DIRECTORY``, two
            members have the same name, or members overlap each other or the directory.
    """
    start = _check_directory(file)
    archive = zipfile.ZipFile(file)
    names = {member.filename for member in archive.filelist}
    if len(names) < len(archive.filelist):
        raise zipfile.BadZipFile('it has two members of the same name')
    end = 0
    for member in sorted(archive.filelist, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise zipfile.BadZipFile(f'its member {member.filename[:80]!r} overlaps another one')
        end = member.header_offset + _LOCAL_HEADER + member.compress_size
    if archive.start_dir != start or end > start:
        raise zipfile.BadZipFile('its members overlap its directory')
    return archive


def _check_directory(file: BinaryIO) -> int:
    """Where the directory starts, which is bounded."""
    record = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # so that both look at the same one
    if not record:
        raise zipfile.BadZipFile('it has no directory at its end')
    size, end = record[5], record[9] - (_ZIP64_RECORDS if record[0] == b'PK\6\6' else 0)
    if size > min(end, MAX_DIRECTORY):
        raise zipfile.BadZipFile(f'its directory of {size} bytes does not fit, or is longer than {MAX_DIRECTORY}')
    file.seek(end - size)
    directory, offset, number = file.read(size), 0, 0
    while offset != size:
        number += 1
        if number > MAX_MEMBERS:
            raise zipfile.BadZipFile(f'it has more than {MAX_MEMBERS} members')
        entry = directory[offset:offset + _ENTRY.size]
        if len(entry) < _ENTRY.size or not entry.startswith(_SIGNATURE):
            raise zipfile.BadZipFile('its directory is damaged')
        offset += _ENTRY.size + sum(_ENTRY.unpack(entry))
    return end - size
