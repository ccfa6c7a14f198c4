"""Import of annotations: reading, finding the images, writing a folder of JSON Lines."""
from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.utils.files import check_writable, sha256_of
from mmrefseg.utils.safe_names import relative_name, split_name

from ..prepared_folder import ANNOTATIONS, IMAGES
from .annotation import Annotation, Notes, Options
from .annotations_to_lines import Drawn, draw_all, lines_of_image
from .coco import read_coco
from .csv_and_parquet import read_table
from .cvat import read_cvat
from .image_files import ImageFinder
from .label_studio import read_label_studio
from .labelme import read_labelme
from .refcoco import read_refcoco
from .split_assignment import DEFAULT_SHARES, assign
from .yolo import read_yolo

FORMATS: Mapping[str, Callable[..., Iterator[Annotation]]] = MappingProxyType({
    'coco': read_coco, 'cvat': read_cvat, 'labelme': read_labelme, 'label-studio': read_label_studio,
    'yolo': read_yolo, 'table': read_table, 'refcoco': read_refcoco})
"""Format → its reader."""

_TOLD = 10


class Imported(NamedTuple):
    """What an import has written and skipped.

    Args:
        splits: split → numbers of its images, lines and expressions.
        notes: what the user should know of → how often; such as what was skipped.
        broken: what was wrong with elements that were left out.
    """

    splits: dict[str, dict[str, int]]
    notes: dict[str, int]
    broken: list[str]


def import_annotations(kind: str,
                       source: str | Path,
                       out: str | Path,
                       options: Options | None = None,
                       images: str | Path | None = None,
                       shares: Mapping[str, float] | None = None,
                       seed: int = 0,
                       group: str | None = None,
                       stored: bool = False,
                       keep_apart: bool = False,
                       skip_broken: bool = False) -> Imported:
    """Write the folder that :class:`~mmrefseg.datasets.JSONLinesDataset` reads, whole or not at all.

    Images are copied; nothing in the source is changed. Objects of an image of which the same is said are united in one
    mask. All that is said of an image stands in one split, and so do all images of a group.

    Args:
        kind: a format of ``FORMATS``.
        source: what the tool wrote: a file or a folder.
        out: the folder to make; must be empty, or not be there.
        options: how files are read. Default None, as :class:`Options` says.
        images: folder that holds the images. Default None, the source's.
        shares: split → share of the images. Default None, the source's own splits; where it has none,
            ``DEFAULT_SHARES``.
        seed: of the splits. Default 0.
        group: regular expression; images in whose names it finds the same (its first group, if it has one) stay
            together. Default None, only images of the same content do.
        stored: whether masks were drawn on the stored pixels of photos with an EXIF orientation, where sizes don't
            tell. Default False, on the upright picture.
        keep_apart: whether objects of which the same is said become lines of their own. Default False.
        skip_broken: whether broken elements are left out. Default False, they are refused.

    Raises:
        MissingInputError: a file or folder is missing.
        InputError: the source is of another format, elements are broken, or nothing is left.
        FileError: the folder cannot be written.
    """
    source, out = Path(source), Path(out)
    if kind not in FORMATS:
        raise InputError(f'there is no format {kind!r}; there are {", ".join(FORMATS)}')
    if not source.exists():
        raise MissingInputError(f'{source} is missing. Name the file or folder that the annotation tool exported.')
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f'{out} is there already, and not empty. Name another folder, or remove it.')
    check_writable(out.absolute().parent)
    scratch = Path(tempfile.mkdtemp('.unfinished', f'.{out.name[:60]}.', out.absolute().parent))
    try:
        notes = Notes()
        arguments = (scratch,) if kind == 'table' else ()
        annotations = list(FORMATS[kind](source, options or Options(), notes, *arguments))
        roots = [Path(images) if images else source if source.is_dir() else source.parent,
                 *([scratch] if any(scratch.iterdir()) else [])]
        drawn = draw_all(annotations, ImageFinder(roots), notes, stored, str(source))
        _check(notes, drawn, source, skip_broken)
        folder = scratch / 'whole'
        splits = _write(drawn, folder, shares, seed, group, keep_apart, notes)
        folder.chmod(0o777 & ~_umask())
        os.replace(folder, out)
    except OSError as error:
        if isinstance(error, FileError | MissingInputError):
            raise
        raise FileError(error.errno, f'{out} cannot be written ({error.strerror}: {error.filename})') from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Imported(splits, dict(notes.counts), notes.broken)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check(notes: Notes, drawn: list[Drawn], source: Path, skip_broken: bool) -> None:
    """Refuse what is broken, and a source of which nothing is left."""
    if notes.broken and not skip_broken:
        more = len(notes.broken) - _TOLD
        raise InputError(f'{source}: {len(notes.broken)} elements are broken; nothing was written. Mend them, or leave '
                         'them out with --skip-broken:\n' + '\n'.join(notes.broken[:_TOLD])
                         + (f'\n... and {more} more' if more > 0 else ''))
    if not drawn:
        reasons = [f'{count} {what}' for what, count in notes.counts.items()] + notes.broken[:_TOLD]
        if notes.fields:
            reasons.append(f'--expression can name one of these fields: {", ".join(notes.fields)}')
        raise InputError(f'{source} holds nothing that an expression refers to'
                         + (f': {"; ".join(reasons)}' if reasons else '. Is it the right file or folder?'))


def _write(drawn: list[Drawn], folder: Path, shares: Mapping[str, float] | None, seed: int, group: str | None,
           keep_apart: bool, notes: Notes) -> dict[str, dict[str, int]]:
    by_image: dict[Path, list[Drawn]] = {}
    for element in drawn:
        by_image.setdefault(element.path, []).append(element)
    splits = _splits(by_image, shares, seed, group, notes)
    lines: dict[str, list[dict]] = {}
    images = Counter()
    for path, elements in by_image.items():
        of_image = lines_of_image(elements, keep_apart, notes)
        if of_image:
            name = relative_name(elements[0].name, f'the name of {path}')
            target = folder / IMAGES / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            lines.setdefault(splits[path], []).extend({'image': name, **line} for line in of_image)
            images[splits[path]] += 1
    (folder / ANNOTATIONS).mkdir(parents=True)
    for split, of_split in lines.items():
        text = ''.join(json.dumps(line, ensure_ascii=False, allow_nan=False) + '\n' for line in of_split)
        (folder / ANNOTATIONS / f'{split}.jsonl').write_text(text, encoding='utf-8')
    return {split: {'images': images[split], 'lines': len(of_split),
                    'expressions': sum(len(line['expressions']) for line in of_split)}
            for split, of_split in lines.items()}


def _splits(by_image: Mapping[Path, list[Drawn]], shares: Mapping[str, float] | None, seed: int, group: str | None,
            notes: Notes) -> dict[Path, str]:
    """The split of each image."""
    own = {path: {element.split for element in elements} for path, elements in by_image.items()}
    if shares is None and all(all(splits) for splits in own.values()):
        return {path: split_name(_first_of(splits, notes), 'a split') for path, splits in own.items()}
    if shares is None and any(any(splits) for splits in own.values()):
        notes.counts['images are in no split of the source, others are; all were split anew'] += sum(
            not all(splits) for splits in own.values())
    keys = {path: _group_of(elements[0].name, path, group) for path, elements in by_image.items()}
    assigned = assign(Counter(keys.values()), shares or DEFAULT_SHARES, seed)
    return {path: assigned[key] for path, key in keys.items()}


def _first_of(splits: Iterable[str], notes: Notes) -> str:
    """One split of an image; that which is tested on, so that nothing of it is trained on."""
    ordered = sorted(splits, key=lambda split: (split == 'train', split))
    if len(ordered) > 1:
        notes.counts['images are in several splits of the source; each is kept out of train'] += 1
    return ordered[0]


def _group_of(name: str, path: Path, group: str | None) -> str:
    if group is None:
        return sha256_of(path)
    try:
        found = re.search(group, name)
    except re.error as error:
        raise InputError(f'--group must be a regular expression ({error}), got {group!r}') from None
    return found.group(1 if found.re.groups else 0) or name if found else name
