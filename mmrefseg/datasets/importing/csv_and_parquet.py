"""Tables of image, mask and expression: CSV, and Parquet as Hugging Face's ``datasets`` writes it."""
from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmrefseg.errors import InputError, MissingPackageError
from mmrefseg.structures.mask_formats import Segmentation
from mmrefseg.utils.files import JSON_ENCODING, MAX_IMAGE_BYTES, open_regular, read_regular
from mmrefseg.utils.json_text import decode_json

from .annotation import Annotation, Notes, Options, image_size_of, split_in, words_of
from .bounded_parquet import bounded_batches
from .coco import outline_of
from .format_recognition import files_of

_IMAGES = ('image', 'image_path', 'file_name', 'image_file_name', 'filename', 'img', 'picture', 'path')
_MASKS = ('mask', 'mask_path', 'mask_file', 'mask_file_name', 'segmentation', 'polygons', 'polygon', 'rle')
_EXPRESSIONS = ('expression', 'expressions', 'sentence', 'sentences', 'text', 'caption', 'description', 'phrase',
                'answer')
_BEYOND = 'cells beyond the last column'
_NOTHING = ('none', 'null')
_MAX_BYTES = 1 << 30


def read_table(source: Path, options: Options, notes: Notes, scratch: Path) -> Iterator[Annotation]:
    """The rows of CSV and Parquet files.

    Columns are known by their names, whatever their case. A mask is the path of an image file, the JSON of polygons or
    of an RLE, or ``none``: the expression refers to nothing. Parquet may hold images and masks themselves, and a row a
    list ``samples`` of what is said of its image.

    Args:
        source: a file, or a folder of them, one or several per split.
        options: how they are read.
        notes: gets what is broken or skipped.
        scratch: folder for the images that a table holds itself.
    """
    for file in files_of(source, 'table', '.csv', '.tsv', '.parquet'):
        split = split_in(file.relative_to(source).as_posix() if source.is_dir() else file.name)
        with open_regular(file) as opened:
            is_parquet = opened.read(4) == b'PAR1'
        rows = _rows_of_parquet(file) if is_parquet else _rows_of_csv(file)
        columns: tuple[str, str, str] | None = None
        for number, row in ((number, part) for number, whole in rows for part in _parts(whole)):
            columns = columns or _columns(row, options.expression, file)
            with notes.element():
                where = f'{file}, row {number}'
                annotation = _of_row(row, columns, where, split, options, notes, scratch)
                if annotation is not None:
                    yield annotation


def _parts(row: dict) -> list[dict]:
    samples = row.get('samples')
    return [{**row, **sample} for sample in samples if isinstance(sample, dict)] if isinstance(samples, list) else [row]


def _of_row(row: dict, columns: tuple[str, str, str], where: str, split: str, options: Options, notes: Notes,
            scratch: Path) -> Annotation | None:
    if _BEYOND in row:
        raise InputError(f'{where}: it has more cells than the table has columns. Put texts with commas in quotes')
    image, mask, expression = (row.get(column) for column in columns)
    if isinstance(image, dict):
        image = _put(image, scratch, where)
    if not isinstance(image, str) or not image.strip():
        raise InputError(f'{where}: {columns[0]} must name an image')
    segmentation: Segmentation = None
    if not (isinstance(mask, str) and mask.strip().lower() in _NOTHING):
        segmentation = _mask(mask, row.get('bbox'), where, options, notes, scratch)
        if segmentation is None:
            return None
    words = words_of(_listed(expression), f'{where}: {columns[2]}')
    own = row.get('split')
    own_split = (split_in(own) or own.strip()) if isinstance(own, str) else split
    size = image_size_of(row.get('height'), row.get('width'), where)
    return Annotation(image.strip(), size, words, segmentation, where, own_split, options.in_shares)


def _mask(mask: Any, box: Any, where: str, options: Options, notes: Notes, scratch: Path) -> Segmentation:
    if isinstance(mask, dict) and mask.get('bytes'):
        return {'file': _put(mask, scratch, where)}
    if isinstance(mask, str) and mask.strip().startswith(('[', '{')):
        mask = _decoded(mask, where)
    if isinstance(mask, str) and mask.strip():
        return {'file': mask.strip()}
    return outline_of({'segmentation': mask or None, 'bbox': _decoded(box, where) if isinstance(box, str) else box},
                      options, notes, where)


def _listed(expression: Any) -> Any:
    """Expressions, also of a cell that holds a list in JSON."""
    if isinstance(expression, str) and expression.strip().startswith('["'):
        try:
            return decode_json(expression)
        except (ValueError, RecursionError):
            return expression
    return expression


def _decoded(text: str, where: str) -> Any:
    try:
        return decode_json(text) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise InputError(f'{where}: it looks like JSON, but is none ({error})') from None


def _columns(row: dict, expression: str | None, file: Path) -> tuple[str, str, str]:
    found = []
    for what, names in (('image', _IMAGES), ('mask', _MASKS),
                        ('expression', [expression] if expression else _EXPRESSIONS)):
        column = next((name for name in names if name in row), None)
        if column is None:
            raise InputError(f'{file} has no column of the {what} ({" or ".join(names)}); it has: '
                             f'{", ".join(map(str, row))[:300]}. Rename one.')
        found.append(column)
    return tuple(found)


def _rows_of_csv(file: Path) -> Iterator[tuple[int, dict]]:
    try:
        text = read_regular(file, _MAX_BYTES).decode(JSON_ENCODING)
    except UnicodeDecodeError as error:
        raise InputError(f'{file} is not in UTF-8 ({error}). Save it as "CSV UTF-8".') from None
    first = text.partition('\n')[0]
    delimiter = max(',;\t', key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter)
        header = _lower(next(reader, []), file)
        for row in reader:
            if any(row):
                beyond = {_BEYOND: True} if any(row[len(header):]) else {}
                yield reader.line_num, dict(zip(header, row, strict=False)) | beyond
    except csv.Error as error:
        raise InputError(f'{file} is no CSV ({error}). Save it again.') from error


def _lower(names: Sequence[str], file: Path) -> list[str]:
    """Names of columns as they are looked for; one that is there twice is refused: nobody can tell which is meant."""
    lower = [name.strip().lower() for name in names]
    if twice := [name for name, number in Counter(lower).items() if number > 1 and name]:
        raise InputError(f'{file} has the column {twice[0][:80]!r} twice. Remove or rename one.')
    return lower


def _rows_of_parquet(file: Path) -> Iterator[tuple[int, dict]]:
    try:
        from pyarrow import ArrowException
    except ImportError as error:
        raise MissingPackageError(f'{file} is Parquet, which pyarrow reads; it is not installed: pip install '
                                  'pyarrow') from error
    number = 0
    try:
        with open_regular(file) as opened:
            for batch in bounded_batches(opened):
                _lower(batch.schema.names, file)
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name.lower(): value for name, value in row.items()}
    except InputError as error:
        raise InputError(f'{file}: {error}') from error
    except (ArrowException, OSError) as error:
        raise InputError(f'{file} is no whole Parquet file ({str(error)[:200]}). Get it again.') from error


def _put(image: dict, scratch: Path, where: str) -> str:
    """Write an image that the table holds to a file; returns its path. Without bytes it is the path it names."""
    content, path = image.get('bytes'), image.get('path')
    if not content:
        return path
    if not isinstance(content, bytes) or len(content) > MAX_IMAGE_BYTES:
        raise InputError(f'{where}: the image in it is no bytes, or more than {MAX_IMAGE_BYTES}')
    ending = {b'\x89PNG': '.png', b'\xff\xd8\xff': '.jpg', b'RIFF': '.webp'}
    suffix = next((suffix for magic, suffix in ending.items() if content.startswith(magic)), '.img')
    file = scratch / 'embedded' / f'{hashlib.sha256(content).hexdigest()[:32]}{suffix}'
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return f'embedded/{file.name}'
