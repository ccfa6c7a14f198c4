"""Preparing a data set: from its own files to annotations in JSON Lines, and to LMDB."""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import check_writable, read_json, sha256_of, write_atomically, write_json
from mmrefseg.utils.lmdb_file import LMDBWriter
from mmrefseg.utils.locks import locked_file
from mmrefseg.utils.safe_names import relative_name, split_name
from mmrefseg.utils.worker_processes import check_workers, ordered_map

from ..prepared_folder import ANNOTATIONS, BROKEN, IMAGES, LMDB, MANIFEST, UNFINISHED
from ..refer_lmdb import write_split
from .file_catalogue import Catalogue, archives_closed_afterwards
from .recipes import RECIPES
from .sources import Source
from .split_preparation import SplitPreparation

MANIFEST_VERSION = 2

_COUNTS = ('refs', 'images', 'expressions', 'broken')
_PARTS = (ANNOTATIONS, IMAGES, LMDB, BROKEN)
_INSTALLING = 'installing'  # from then on these parts beside the unfinished folder are this tool's


def prepare(name: str,
            sources: Sequence[str | Path],
            out_dir: str | Path,
            lmdb: bool = False,
            skip_broken: bool = False,
            workers: int = 1,
            show_progress: bool = False,
            ignore_orientation: bool = False) -> bool:
    """Prepare a data set, or go on where a killed preparation stopped.

    The folder gets ``annotations/<split>.jsonl`` with an index and the images' checksums beside each, ``images/``
    (links, or what was in zip archives) or, with ``lmdb``, ``data.lmdb``; ``broken.json`` if entries were left out;
    and, last, ``prepared.json``. Until then all of it is in ``.unfinished/`` there.

    Images keep the keys that the data set's class gives them unprepared, so that sharing is seen. Those
    of RefShapes are the folder's, or the zip archive's, own: made anew or copied, they are others.

    Args:
        name: one of ``RECIPES``.
        sources: folders that hold the files, also within zip archives.
        out_dir: folder to fill; made if missing.
        lmdb: whether to put images and annotations into an LMDB file. Default False.
        skip_broken: whether to leave broken entries out and list them. Default False.
        workers: processes to check images with. Default 1, this very process.
        show_progress: show a progress bar for each split. Default False.
        ignore_orientation: of ``'jsonl'`` alone: whether masks were made on the images as they are stored, where a line
            does not say it. Default False.

    Returns:
        True if the data set was prepared, False if it was there already.

    Raises:
        MissingInputError: files are missing, with their official address; or no folder is named.
        FileError: the folder holds something else, or links where there must be files and folders.
        InputError: a file or an entry is broken, or a split has not as many refs or images as it must.
        FileError: something cannot be read or written.
    """
    check_workers(workers)
    if name not in RECIPES:
        raise InputError(f'there is no recipe for {name!r}, only for {", ".join(RECIPES)}')
    recipe = RECIPES[name]
    if ignore_orientation:
        if name != 'jsonl':
            raise InputError(f'--ignore-orientation is for jsonl: which view of the images {name} means is known')
        recipe = recipe._replace(arguments={'ignore_orientation': True})
    out_dir = Path(out_dir)
    work_dir = out_dir / UNFINISHED
    _refuse_links(work_dir)
    if _is_prepared(out_dir, name, lmdb, ignore_orientation):
        shutil.rmtree(work_dir, ignore_errors=True)
        return False
    if not sources:
        raise MissingInputError('name the folders that hold the files with --src')
    check_writable(work_dir)
    with locked_file(work_dir / 'lock', f'{out_dir} is being prepared'), archives_closed_afterwards():
        if _is_prepared(out_dir, name, lmdb, ignore_orientation):  # meanwhile, by another process
            shutil.rmtree(work_dir, ignore_errors=True)
            return False
        _take_back(out_dir, work_dir)
        _refuse_links(work_dir)
        shutil.rmtree(work_dir / 'source', ignore_errors=True)
        source = Source(recipe, Catalogue(sources), work_dir / 'source')
        _start_over_if_changed(work_dir, {'format_version': MANIFEST_VERSION, 'name': name, 'lmdb': lmdb,
                                          'ignore_orientation': ignore_orientation, 'files': source.fingerprint()})
        summaries = _prepare_splits(source, name, work_dir, lmdb, skip_broken, workers, show_progress)
        _install(work_dir, out_dir, name, lmdb, ignore_orientation, summaries)
    return True


def _refuse_links(work_dir: Path) -> None:
    """What is unfinished may come with a folder of others; its links would lead what is written, and removed, astray.

    Images alone are links, which are replaced. Of a pipe, reading would never end.
    """
    found = [work_dir] if work_dir.is_symlink() else [
        path for folder, subfolders, files in os.walk(work_dir)
        for path in map(Path(folder).joinpath, subfolders + files)
        if (path.is_dir() or path.relative_to(work_dir).parts[0] != IMAGES if path.is_symlink() else
            not path.is_dir() and not path.is_file())]
    if found:
        raise FileError(f'{found[0]} is a link or no file, which this tool never makes: delete {work_dir}, or choose '
                        'another folder for --out')


def read_manifest(out_dir: str | Path) -> dict[str, Any]:
    """What ``prepared.json`` of a prepared data set says.

    Args:
        out_dir: folder of the prepared data set.

    Raises:
        MissingInputError: there is none.
        InputError: it is damaged or of another version.
    """
    path = Path(out_dir, MANIFEST)
    if not path.is_file():
        raise MissingInputError(f'{path} is missing: {out_dir} is not prepared, or not to the end')
    try:
        manifest = read_json(path, mend='')
        version = get_field(manifest, 'format_version', int, 'manifest')
        if version == MANIFEST_VERSION:
            _check_manifest(manifest)
    except InputError as error:
        raise InputError(f'{path} is damaged ({str(error).removesuffix(".")}). Delete {out_dir} and prepare the data '
                         'set again.') from error
    if version != MANIFEST_VERSION:
        raise InputError(f'{path} is of format_version {version}, not {MANIFEST_VERSION}. Delete {out_dir} and prepare '
                         'the data set again.')
    return manifest


def _check_manifest(manifest: dict[str, Any]) -> None:
    for key, kind in (('name', str), ('lmdb', bool), ('splits', dict), ('warnings', list), ('files', dict)):
        get_field(manifest, key, kind, 'manifest')
    if 'ignore_orientation' in manifest:  # which older ones don't have
        get_field(manifest, 'ignore_orientation', bool, 'manifest')
    for split, counts in manifest['splits'].items():
        split_name(split, 'a split')
        for count in _COUNTS:
            get_field(counts, count, int, f'split {split[:200]!r}')
    for name in manifest['files']:
        get_field(manifest['files'], relative_name(name, "a name in 'files'"), str, 'files')


def _is_prepared(out_dir: Path, name: str, lmdb: bool, ignore_orientation: bool) -> bool:
    """Whether the folder holds what is asked for; raises FileError if it holds something else."""
    if not (out_dir / MANIFEST).exists():
        others = [path.name for path in out_dir.glob('*')] if not (out_dir / UNFINISHED).exists() else []
        if others:
            raise FileError(f'{out_dir} holds {", ".join(sorted(others)[:3])} and was not made by this tool: '
                            'choose another folder for --out, or empty it')
        return False
    manifest = read_manifest(out_dir)
    if manifest['name'] != name or lmdb > manifest['lmdb']:
        without = '' if manifest['lmdb'] else ', prepared without --lmdb'
        raise FileError(f'{out_dir} holds {manifest["name"]}{without}: choose another folder for --out, or '
                        'delete this one')
    if ignore_orientation != (ignored := manifest.get('ignore_orientation', False)):
        raise FileError(f'{out_dir} was prepared {"with" if ignored else "without"} --ignore-orientation: say so, '
                        'choose another folder for --out, or delete this one')
    return True


def _take_back(out_dir: Path, work_dir: Path) -> None:
    """Undo an installation that was killed.

    Raises:
        FileError: there was none, and what is there is the user's.
    """
    there = [name for name in _PARTS if (out_dir / name).exists()]
    if there and not (work_dir / _INSTALLING).exists():
        raise FileError(f'{out_dir} holds {", ".join(there)}, which came there after an interrupted preparation: '
                        'choose another folder for --out, or move them away')
    for name in there:
        (out_dir / name).rename(work_dir / name)
    (work_dir / _INSTALLING).unlink(missing_ok=True)


def _start_over_if_changed(work_dir: Path, settings: dict) -> None:
    path = work_dir / 'settings.json'
    content = json.dumps(settings).encode()
    if path.exists() and path.read_bytes() != content:
        for name in (ANNOTATIONS, IMAGES):
            shutil.rmtree(work_dir / name, ignore_errors=True)
        (work_dir / LMDB).unlink(missing_ok=True)
    write_atomically(content, path)


def _prepare_splits(source: Source, name: str, work_dir: Path, lmdb: bool, skip_broken: bool, workers: int,
                    show_progress: bool) -> dict[str, dict]:
    """Prepare what is not finished yet, and gather what is known of all splits."""
    splits, counts = source.splits(), RECIPES[name].counts
    if missing := sorted(set(counts) - set(splits)):
        raise InputError(f'The files in {source.data_root} have no split {", ".join(missing)}, but {name} has. They '
                         f'are those of another data set, or incomplete: get them from {RECIPES[name].files_from}.')
    writer = LMDBWriter(work_dir / LMDB) if lmdb else None
    try:
        with ordered_map(workers) as map_over_workers:
            summaries = {
                split: SplitPreparation(source, split, work_dir, writer, counts.get(split)).run(
                    map_over_workers, skip_broken, show_progress)
                for split in splits
            }
        if writer:
            _finish_lmdb(writer, name, work_dir, summaries)
    finally:
        if writer:
            writer.close()
    return summaries


def _finish_lmdb(writer: LMDBWriter, name: str, work_dir: Path, summaries: dict[str, dict]) -> None:
    for split in summaries:
        write_split(writer, split, work_dir / ANNOTATIONS / f'{split}.jsonl')
    writer.finish({'name': name, 'splits': {split: summary['counts'] for split, summary in summaries.items()}})


def _install(work_dir: Path, out_dir: Path, name: str, lmdb: bool, ignore_orientation: bool,
             summaries: dict[str, dict]) -> None:
    """Move everything into place, the manifest last."""
    broken = [{'split': split, 'entry': entry} for split, summary in summaries.items() for entry in summary['broken']]
    (work_dir / BROKEN).unlink(missing_ok=True)
    if broken:
        write_json(broken, work_dir / BROKEN)
    files = sorted((work_dir / ANNOTATIONS).iterdir()) + ([work_dir / LMDB] if lmdb else [])
    manifest = {
        'format_version': MANIFEST_VERSION,
        'name': name,
        'lmdb': lmdb,
        'ignore_orientation': ignore_orientation,
        'image_root': IMAGES if not lmdb else f'{LMDB}#{IMAGES}',
        'splits': {split: summary['counts'] for split, summary in summaries.items()},
        'warnings': [warning for summary in summaries.values() for warning in summary['warnings']],
        'files': {str(path.relative_to(work_dir)): sha256_of(path) for path in files},
    }
    if not lmdb:
        (work_dir / IMAGES).mkdir(exist_ok=True)  # of no image, too, if all entries are broken
    (work_dir / _INSTALLING).touch()
    for part in _PARTS:
        if (work_dir / part).exists():
            (work_dir / part).rename(out_dir / part)
    write_json(manifest, out_dir / MANIFEST)
    shutil.rmtree(work_dir)
