"""Getting the files of a public data set that are not there yet."""
from __future__ import annotations

import glob
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mmrefseg.errors import FileError, InputError, UserError
from mmrefseg.utils.file_download import download, remote_file
from mmrefseg.utils.files import check_writable, open_regular
from mmrefseg.utils.zip_archive import open_archive

from .file_catalogue import Catalogue
from .published_files import PUBLISHED_FILES, PublishedFile
from .recipes import RECIPES

_TRIES = 5
_LOOKED_AT = 64


def fetch(name: str, folders: Sequence[str | Path], tell: Callable[[str], object] = print) -> list[Path]:
    """Download what a data set lacks; each file from its first mirror that gives the whole, right one.

    Args:
        name: one of ``RECIPES``.
        folders: where files may be already, also unpacked; what is missing goes into the first one, which is made.
        tell: gets lines on what happens, size and licence among them. Default ``print``.

    Returns:
        The files that were downloaded.

    Raises:
        InputError: no program may get this data set, or a file that is there is another one; says what to do by hand.
        FileError: no mirror gives a file; says why each doesn't, and what to get by hand.
    """
    if name not in PUBLISHED_FILES:
        recipe = RECIPES[name]
        raise InputError(f'{name} is not among the data sets that are downloaded ({", ".join(PUBLISHED_FILES)}). Its '
                         f'annotations are from {recipe.files_from}, its images from {recipe.images_from}: get them '
                         'by hand, and name their folders with --src')
    if not folders:
        raise InputError('name the folder to download into with --src')
    check_writable(folders[0])
    catalogue = Catalogue(folders)
    missing = [file for file in PUBLISHED_FILES[name] if not _is_there(file, catalogue)]
    for file in missing:
        size = f'{file.size / 1e9:.2f} GB' if file.size else 'of unknown size'
        tell(f'{file.name}, {size}, from {file.mirrors[0]}'
             + ('' if file.tried else ' (an address that nobody has tried with this program yet)')
             + f'. Licence: {file.licence}')
    return [_fetch(file, Path(folders[0]) / file.name, tell) for file in missing]


def _is_there(file: PublishedFile, catalogue: Catalogue) -> bool:
    """Whether a file, or what it holds, is there; raises InputError if it has another size."""
    found = catalogue.find(file.name)
    for location in found:
        if location.member is None and file.size not in (None, size := location.size()):
            raise InputError(f'{location} has {size} bytes, but the published file has {file.size}: it is damaged or '
                             'another one. Remove it, and run the same command again')
    return bool(found or catalogue.find(file.holds) or catalogue.has_folder(file.holds))


def _fetch(file: PublishedFile, path: Path, tell: Callable[[str], object]) -> Path:
    """Download a file; a mirror is tried again as long as it goes on giving something."""
    troubles = []
    for address in file.mirrors:
        sha256 = file.sha256 or _told_sha256(address)
        for _ in range(_TRIES):
            before = _came(path)
            try:
                download(address, path, sha256, file.size, _trouble_of)
                return path
            except UserError as error:
                trouble = str(error)
                tell(f'it failed: {trouble}')
                if isinstance(error, InputError) or _came(path) <= before:
                    break
        troubles.append(trouble)
    raise FileError(f'{file.name} cannot be downloaded. Run the same command again to go on where it stopped. Or get '
                    f'it by hand, from {" or ".join(file.mirrors)}, or wherever the page of the data set leads to now, '
                    f'and put it there as {path}. What went wrong:\n' + '\n'.join(troubles))


def _told_sha256(address: str) -> str | None:
    try:
        return remote_file(address).sha256
    except FileError:  # some servers give files, but answer no questions about them
        return None


def _came(path: Path) -> int:
    """Bytes of a file that are there already, from whatever mirrors."""
    return sum(part.stat().st_size for part in path.parent.glob(f'{glob.escape(path.name)}.*.part'))


def _trouble_of(path: Path) -> str | None:
    """What is wrong with an archive or a JSON file, as far as its ends tell."""
    with open_regular(path) as file:
        start = file.read(_LOOKED_AT).lstrip()
        if start.startswith(b'PK'):
            try:
                open_archive(file)
            except zipfile.BadZipFile as error:
                return str(error)
            return None
        file.seek(max(path.stat().st_size - _LOOKED_AT, 0))
        is_json = start[:1] + file.read().rstrip()[-1:] in (b'[]', b'{}')
    return None if is_json else f'it is no whole zip archive or JSON file, and begins with {start[:20]!r}'
