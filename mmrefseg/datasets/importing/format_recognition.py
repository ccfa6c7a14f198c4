"""Telling by its content what kind of annotation file one is."""
from __future__ import annotations

import codecs
from itertools import islice
from pathlib import Path
from shlex import quote

from mmrefseg.errors import InputError, UserError
from mmrefseg.utils.files import JSON_ENCODING, open_regular
from mmrefseg.utils.json_text import decode_json
from mmrefseg.utils.safe_names import refuse_links_out

_START = 1 << 16
_MAX_WHOLE = 1 << 26
_IMAGES = ((b'\xff\xd8\xff', 'a JPEG image'), (b'\x89PNG', 'a PNG image'), (b'GIF8', 'a GIF image'),
           (b'%PDF', 'a PDF'))

_ARROW = (b'\xff\xff\xff\xff', b'ARROW1')
_NO_ANNOTATIONS = ('.jpg', '.jpeg', '.png', '.webp', '.gif', '.bmp', '.tif', '.tiff')
_TOLD = 3

ZIP = 'a zip archive'

FORMAT_TITLES = {
    'coco': 'COCO annotations',
    'cvat': 'CVAT XML',
    'labelme': 'a LabelMe file',
    'label-studio': 'a Label Studio export',
    'yolo': 'YOLO outlines',
    'table': 'a table',
    'refcoco': "RefCOCO's refs",
    'jsonl': 'JSON Lines of mmrefseg',
}
"""Format → what a file of it is called."""


def recognise(path: str | Path) -> str:
    """What a file is, by its content.

    Args:
        path: the file.

    Returns:
        A format of :data:`FORMAT_TITLES`; or for all others words that say what it is, such as ``'a zip archive'``.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is no file.
        FileError: it cannot be read.
    """
    with open_regular(path) as file:
        start = file.read(_START)
    for magic, kind in _IMAGES:
        if start.startswith(magic):
            return kind
    if start.startswith(b'PK\3\4'):
        return ZIP
    if start.startswith(b'PAR1'):
        return 'table'
    if start.startswith(_ARROW):
        return "an Arrow file, as Hugging Face's save_to_disk writes it, of which to_parquet makes a table"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return 'text in UTF-16, which must be saved in UTF-8'
    if not start.strip():
        return 'an empty file'
    if start.startswith((b'\x80\2', b'\x80\3', b'\x80\4', b'\x80\5', b'(lp')):
        return 'refcoco'
    text = start.decode(JSON_ENCODING, 'replace').lstrip('\ufeff \t\r\n')
    if not text:
        return 'an empty file'
    if '\0' in text or text.count('\ufffd') > len(text) / 10:
        return 'a binary file of an unknown kind'
    return _of_text(text, path)


def _of_text(text: str, path: str | Path) -> str:
    if text.startswith('<'):
        lowered = text.lower()
        if '<html' in lowered or '<!doctype html' in lowered:
            return 'a web page, perhaps of a failed download'
        if '<annotations' in lowered:
            return 'cvat'
        return 'PASCAL VOC XML, which holds boxes alone' if '<annotation>' in lowered else 'XML of an unknown kind'
    if text[0] in '{[':
        return _of_json(text, path)
    line = text.splitlines()[0]
    if _is_outline(line):
        return 'yolo'
    return 'table' if any(mark in line for mark in ',;\t') else 'text of an unknown kind'


def _of_json(text: str, path: str | Path) -> str:
    first = text.splitlines()[0]
    if first.rstrip().endswith('}') and (element := _decoded(first)) is not None:
        if isinstance(element, dict) and 'image' in element and {'mask', 'expression', 'expressions'} & element.keys():
            return 'jsonl'
        if kind := _of_element(element):
            return kind
    whole = _whole(path)
    return (_of_element(whole) if whole is not None else _by_words(text)) or 'JSON of an unknown kind'


def _of_element(element: object) -> str:
    if isinstance(element, dict):
        if 'shapes' in element and ('imagePath' in element or 'imageData' in element):
            return 'labelme'
        if 'images' in element and 'annotations' in element:
            return 'coco'
        if 'data' in element and {'annotations', 'completions', 'predictions'} & element.keys():
            return 'label-studio'
        if {'annotation_id', 'annotator'} <= element.keys():
            return 'JSON-MIN of Label Studio, which does not tell whose a text is: export the project as "JSON"'
        if 'images' in element or 'annotations' in element:
            return 'a part of COCO annotations: images and annotations must both be there'
        return 'JSON Lines of another kind' if 'image' in element else ''
    if isinstance(element, list) and element and isinstance(element[0], dict):
        if 'ref_id' in element[0] or 'sentences' in element[0]:
            return 'refcoco'
        if 'segmentation' in element[0] and 'image_id' in element[0]:
            return "a list of COCO results, without their images' names"
        return _of_element(element[0])
    return ''


def _whole(path: str | Path) -> object:
    with open_regular(path) as file:
        content = file.read(_MAX_WHOLE + 1)
    return _decoded(content) if len(content) <= _MAX_WHOLE else None


def _decoded(content: str | bytes) -> object:
    try:
        return decode_json(content.decode(JSON_ENCODING) if isinstance(content, bytes) else content)
    except (ValueError, RecursionError):
        return None


def _by_words(text: str) -> str:
    """Of a file too large to decode for this, or cut off: by names of fields near its start."""
    for kind, words in (('labelme', ('"shapes"',)), ('refcoco', ('"ref_id"',)),
                        ('label-studio', ('"data"', '"annotations"')), ('coco', ('"images"',)),
                        ('coco', ('"segmentation"',)), ('coco', ('"licenses"',)), ('coco', ('"categories"',))):
        if all(word in text for word in words):
            return kind
    return ''


def _is_outline(line: str) -> bool:
    words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    return len(numbers) >= 5 and numbers[0] in range(1 << 20) and all(-0.1 <= number <= 1.1 for number in numbers[1:])


def is_kind(path: Path, kind: str) -> bool:
    """Whether a file is of a format; not if it cannot be read.

    Args:
        path: the file.
        kind: the format.
    """
    try:
        return recognise(path) == kind
    except UserError:
        return False


def files_of(source: Path, kind: str, *endings: str) -> list[Path]:
    """The files of a format in a folder; or the file itself.

    Args:
        source: the folder or file.
        kind: the format.
        *endings: of the files' names that are looked at, such as ``'.json'``.

    Raises:
        MissingInputError: there is nothing.
        InputError: it is a file of another kind, or a folder without any of this one; says what is there. Or a file in
            the folder is a link to a place outside.
    """
    if not source.is_dir():
        if (found := recognise(source)) != kind:
            raise InputError(f'{source} is {FORMAT_TITLES.get(found, found)}, not {FORMAT_TITLES[kind]}. '
                             + _advice(found, kind, source))
        return [source]
    looked_at = sorted(path for path in source.rglob('*') if path.suffix.lower() in endings
                       and not path.name.startswith('._') and path.is_file())
    for path in looked_at:
        refuse_links_out(str(path), str(source))
    files = [path for path in looked_at if is_kind(path, kind)]
    if not files:
        raise InputError(f'{source} holds no file that is {FORMAT_TITLES[kind]} ({", ".join(endings)})'
                         f'{others_in(source)}. Name the right format or folder.')
    return files


def others_in(source: Path) -> str:
    """What some of the files in a folder are that are no images, for a message; they begin it with a semicolon.

    Args:
        source: the folder.
    """
    files = (path for path in source.rglob('*') if path.suffix.lower() not in _NO_ANNOTATIONS
             and not path.name.startswith('.') and path.is_file() and not path.is_symlink())
    return ''.join(f'; {path.name} is {FORMAT_TITLES.get(found, found)}'
                   for path in islice(sorted(islice(files, 1000)), _TOLD) for found in [recognise(path)])


def _advice(found: str, kind: str, source: Path) -> str:
    if found == ZIP:
        archive, folder = quote(str(source)), quote(str(source.with_suffix('')))
        return (f'Unpack it, and import the folder: unzip {archive} -d {folder} && mmrefseg import {kind} {folder} '
                '--out DIR')
    if found == 'jsonl':
        return f'It needs no import: check it by "mmrefseg validate {source}".'
    if found in FORMAT_TITLES:
        return f'Import it by "mmrefseg import {found} {source} --out DIR".'
    return 'Name the file or folder that the annotation tool exported.'
