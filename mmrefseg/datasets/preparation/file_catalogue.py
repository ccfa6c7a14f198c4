"""Finding files in folders, and in the zip archives within them."""
from __future__ import annotations

import os
import shutil
import stat
import struct
import weakref
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.utils.files import open_regular, read_regular
from mmrefseg.utils.safe_names import relative_name
from mmrefseg.utils.zip_archive import open_archive

from ..prepared_folder import MANIFEST, UNFINISHED

# Deflated JSON of coordinates comes to about 20, images to 1; a bomb to 1,000.
_MAX_RATIO = 60
_PIECE = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError, OSError,
            struct.error)


class FileLocation(NamedTuple):
    """A file on disk, or a member of a zip archive.

    Args:
        path: a file, or the zip archive that holds it.
        member: its name in the archive; None for a file of its own.
    """

    path: str
    member: str | None = None

    def __str__(self) -> str:
        return self.path if self.member is None else f'{self.path}!{self.member}'

    @property
    def full_path(self) -> PurePosixPath:
        """Path of the file as if the archive were a folder."""
        return PurePosixPath(self.path) if self.member is None else PurePosixPath(self.path, _slashed(self.member))

    def size(self) -> int:
        """Size in bytes; the file is not read for it."""
        return os.path.getsize(self.path) if self.member is None else _archive(self.path).getinfo(self.member).file_size

    def read(self, limit: int) -> bytes:
        """Read the whole content.

        Args:
            limit: bytes that it may have.

        Raises:
            MissingInputError: it is missing.
            InputError: it is no file, larger, suspiciously small in its archive, or damaged there.
            FileError: it cannot be read.
        """
        return read_regular(self.path, limit) if self.member is None else b''.join(self._unpack(limit))

    def copy_to(self, path: Path, limit: int) -> None:
        """Write what the file holds to a path, piece by piece; raises what :meth:`read` does.

        Args:
            path: where to; its folder is made.
            limit: as :meth:`read` takes it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('wb') as target:
            if self.member is None:
                with open_regular(self.path, limit) as source:
                    shutil.copyfileobj(source, target)
            else:
                target.writelines(self._unpack(limit))

    def _unpack(self, limit: int) -> Iterator[bytes]:
        archive = _archive(self.path)
        member = archive.getinfo(self.member)
        size = member.file_size
        if size > limit:
            raise InputError(f'{self} has {size} bytes; no file of this kind has more than {limit}. Get it again.')
        if size > _MAX_RATIO * max(member.compress_size, 1000) or stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f'{self} is refused: it is a link, or a few bytes that unpack to {size}. Get the archive '
                             'again.')
        try:
            with archive.open(member) as file:  # never more than the size that the archive declares
                while piece := file.read(_PIECE):
                    yield piece
        except _DAMAGED as error:
            raise InputError(f'{self} cannot be unpacked ({error}). Get the archive again.') from error


class Catalogue:
    """All files of some folders, those in zip archives included, whose members' names are checked.

    Args:
        folders: the folders. Links are followed; prepared data sets within are passed by.

    Raises:
        MissingInputError: a folder is missing.
        InputError: an archive is damaged, or has a member that points outside of it.
    """

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self.folders = [os.path.abspath(folder) for folder in folders]
        self._by_name: dict[str, list[FileLocation]] = defaultdict(list)
        for location in _files(self.folders):
            self._by_name[location.full_path.name].append(location)
            if location.member is None and location.path.lower().endswith('.zip'):
                for member in _members(location.path):
                    location_in_archive = FileLocation(location.path, member)
                    self._by_name[location_in_archive.full_path.name].append(location_in_archive)

    def find(self, name: str) -> list[FileLocation]:
        """The files whose path ends with a name; those outside of archives first.

        Args:
            name: the name, maybe with folders before it.
        """
        parts = PurePosixPath(name).parts
        found = [file for file in self._by_name.get(parts[-1], ()) if file.full_path.parts[-len(parts):] == parts]
        return sorted(found, key=lambda location: (location.member is not None, location.path, location.member))

    def has_folder(self, name: str) -> bool:
        """Whether a folder of a name holds any file, in an archive or not.

        Args:
            name: the folder's name.
        """
        return any(name in file.full_path.parts[:-1] for files in self._by_name.values() for file in files)

    def folders_with(self, names: Iterable[str]) -> list[PurePosixPath]:
        """The folders, also in archives, that hold all of several files.

        Args:
            names: names of the files; ``*`` stands for anything in one.
        """
        return sorted(set.intersection(*(self._folders_with(name) for name in names)))

    def find_in(self, folder: PurePosixPath, name: str) -> list[FileLocation]:
        """The files of a name in a folder.

        Args:
            folder: the folder, as :meth:`folders_with` gives it.
            name: name of the file; ``*`` stands for anything in it.
        """
        return [location for location in self._matching(name) if location.full_path.parents[name.count('/')] == folder]

    def _folders_with(self, name: str) -> set[PurePosixPath]:
        return {location.full_path.parents[name.count('/')] for location in self._matching(name)}

    def _matching(self, name: str) -> list[FileLocation]:
        folder, slash, pattern = name.rpartition('/')
        names = sorted(known for known in self._by_name if fnmatch(known, pattern)) if '*' in pattern else [pattern]
        return [location for known in names for location in self.find(f'{folder}{slash}{known}')]


def _files(folders: list[str]) -> Iterator[FileLocation]:
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
            yield from (FileLocation(os.path.join(folder, file)) for file in files if not _is_finders(file))


def _members(path: str) -> Iterator[str]:
    """Names of the files in an archive, but for what macOS adds."""
    for name in _archive(path).namelist():
        if name.endswith(('/', '\\')):
            continue
        try:
            parts = relative_name(_slashed(name), 'the name of a member').split('/')
        except InputError as error:
            raise InputError(f'{path} is refused: {error}. Get the archive from its official address, or move it '
                             'away.') from None
        if not any(map(_is_finders, parts)):
            yield name


def _slashed(name: str) -> str:
    """The name of a member whose folders some Windows programs part by backslashes."""
    return name.replace('\\', '/')


def _is_finders(name: str) -> bool:
    """Whether a file or folder is one that macOS puts beside others."""
    return name == '__MACOSX' or name.startswith('._')


@contextmanager
def archives_closed_afterwards() -> Iterator[None]:
    """Close at the end what this process has opened meanwhile: each archive stays open for whoever reads it next."""
    try:
        yield
    finally:
        _open_archive.cache_clear()


def _archive(path: str) -> zipfile.ZipFile:
    # Each process opens its own: forked ones would move each other's position in the file.
    return _open_archive(path, os.getpid())


@lru_cache
def _open_archive(path: str, process: int) -> zipfile.ZipFile:
    file = open_regular(path)
    try:
        archive = open_archive(file)
    except _DAMAGED as error:
        file.close()
        raise InputError(f'{path} is no whole zip archive, or none that is read ({error}). Get it again, unpack it '
                         'yourself, or move it away.') from error
    weakref.finalize(archive, file.close)  # which an archive leaves open that it has not opened itself
    return archive
