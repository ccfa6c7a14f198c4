"""Finding files in folders, and in the zip archives within them."""
from __future__ import annotations

import os
import stat
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmrefseg.errors import InputError, MissingInputError

from ..prepared_folder import MANIFEST, UNFINISHED

MAX_ANNOTATION_BYTES = 1 << 33

# Deflated JSON of coordinates comes to about 20, images to 1; a bomb to 1,000.
_MAX_RATIO = 200


class Place(NamedTuple):
    """Where a file is.

    Attributes:
        path (str): A file, or the zip archive that holds it.
        member (str | None): Its name in the archive; None for a file of its own.
    """

    path: str
    member: str | None = None

    def __str__(self) -> str:
        return self.path if self.member is None else f'{self.path}!{self.member}'

    @property
    def full_path(self) -> PurePosixPath:
        """Path of the file as if the archive were a folder."""
        return PurePosixPath(self.path) if self.member is None else PurePosixPath(self.path, self.member)

    def size(self) -> int:
        """Bytes, without reading them."""
        return os.path.getsize(self.path) if self.member is None else _archive(self.path).getinfo(self.member).file_size

    def read(self, limit: int) -> bytes:
        """What the file holds.

        Args:
            limit (int): Bytes that it may have.

        Raises:
            InputError: If it is larger, suspiciously small in its archive, or damaged there.
            FileError: If it cannot be read.
        """
        if (size := self.size()) > limit:
            raise InputError(f'{self} has {size} bytes; no file of this kind has more than {limit}. Get it again.')
        if self.member is None:
            return Path(self.path).read_bytes()
        archive = _archive(self.path)
        member = archive.getinfo(self.member)
        if size > _MAX_RATIO * max(member.compress_size, 1000) or stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f'{self} is refused: it is a link, or a few bytes that unpack to {size}. Get the archive '
                             'again.')
        try:
            return archive.read(member)  # never more than the size that the archive declares
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise InputError(f'{self} cannot be unpacked ({error}). Get the archive again.') from error


class Catalogue:
    """All files of some folders, those in zip archives included, whose members' names are checked.

    Args:
        folders (Sequence[str | Path]): The folders. Links are followed; prepared data sets within are passed by.

    Raises:
        MissingInputError: If a folder is missing.
        InputError: If an archive is damaged, or has a member that points outside of it.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self.folders = [os.path.abspath(folder) for folder in folders]
        self._by_name: dict[str, list[Place]] = defaultdict(list)
        for place in _files(self.folders):
            self._by_name[place.full_path.name].append(place)
            if place.member is None and place.path.lower().endswith('.zip'):
                for member in _members(place.path):
                    self._by_name[PurePosixPath(member).name].append(Place(place.path, member))

    def find(self, name: str) -> list[Place]:
        """The files whose path ends with a name, which may have folders; those outside of archives first."""
        parts = PurePosixPath(name).parts
        found = [place for place in self._by_name.get(parts[-1], ()) if place.full_path.parts[-len(parts):] == parts]
        return sorted(found, key=lambda place: (place.member is not None, place.path, place.member))

    def folders_with(self, names: Iterable[str]) -> list[PurePosixPath]:
        """The folders, also in archives, that hold all these files; ``*`` stands for anything in a file's name."""
        return sorted(set.intersection(*(self._folders_with(name) for name in names)))

    def find_in(self, folder: PurePosixPath, name: str) -> list[Place]:
        """The files of a name in a folder; ``*`` stands for anything in a file's name."""
        return [place for place in self._matching(name) if place.full_path.parents[name.count('/')] == folder]

    def _folders_with(self, name: str) -> set[PurePosixPath]:
        return {place.full_path.parents[name.count('/')] for place in self._matching(name)}

    def _matching(self, name: str) -> list[Place]:
        folder, slash, pattern = name.rpartition('/')
        names = sorted(known for known in self._by_name if fnmatch(known, pattern)) if '*' in pattern else [pattern]
        return [place for known in names for place in self.find(f'{folder}{slash}{known}')]


def _files(folders: list[str]) -> Iterator[Place]:
    seen = set()
    for top in folders:
        if not os.path.isdir(top):
            raise MissingInputError(f'The folder {top} is missing. Name with --src the folders that hold the files.')
        for folder, subfolders, files in os.walk(top, followlinks=True):
            real = os.path.realpath(folder)
            prepared = folder != top and (MANIFEST in files or UNFINISHED in subfolders)
            if real in seen or prepared:
                subfolders.clear()
                continue
            seen.add(real)
            yield from (Place(os.path.join(folder, file)) for file in files)


def _members(path: str) -> list[str]:
    names = [name for name in _archive(path).namelist() if not name.endswith('/')]
    for name in names:
        if name.startswith(('/', '\\')) or '..' in name.replace('\\', '/').split('/') or ':' in name.split('/')[0]:
            raise InputError(f'{path} is refused: its member {name[:200]!r} points outside of it. Get the archive from '
                             'its official address, or move it away.')
    return names


def _archive(path: str) -> zipfile.ZipFile:
    # Each process opens its own: forked ones would move each other's place in the file.
    return _open_archive(path, os.getpid())


@lru_cache
def _open_archive(path: str, process: int) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f'{path} is no whole zip archive ({error}). Get it again, or move it away.') from error
