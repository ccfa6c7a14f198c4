"""Referents as lines of JSON: the format of prepared annotations, and of what users write by hand."""
from __future__ import annotations

import json
from abc import abstractmethod
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmrefseg.errors import InputError
from mmrefseg.utils.expression_checks import check_expression
from mmrefseg.utils.field_checks import check_numbers, get_field
from mmrefseg.utils.files import JSON_ENCODING, open_regular
from mmrefseg.utils.json_text import json_decoder
from mmrefseg.utils.safe_names import relative_name

from .referent_storage import Referents

INDEX_VERSION = 1
LONGEST_LINE = 1 << 26
"""Bytes; longer lines are refused."""

_LONGEST_SIDE = 1 << 16
_FIELDS = {'image', 'height', 'width', 'expression', 'expressions', 'sent_ids', 'kinds', 'mask', 'image_id', 'ref_id',
           'ann_id', 'category_id', 'ignore_orientation'}
# Keys that a sample gets from elsewhere.
_RESERVED = {'img_path', 'segmentation', 'sentences', 'text', 'sent_id', 'kind', 'sample_idx', 'img', 'img_shape',
             'ori_shape', 'gt_seg_map', 'seg_fields', 'flip', 'flip_direction', 'warp_matrix', 'scale_factor',
             'img_padding_size', 'shared_image', 'image_folder'}


class LineIndex(NamedTuple):
    """What makes a file of lines open fast.

    Args:
        lengths: (N,) integers; bytes of each line, its end included.
        num_sentences: (N,) integers; expressions of each line.
        images: keys of the images, each once, sorted.
    """

    lengths: np.ndarray
    num_sentences: np.ndarray
    images: list[str]

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> LineIndex:
        """Make the index of complete lines.

        Args:
            lines: complete lines, as :func:`line_of` makes them.
        """
        elements = map(json.loads, lines)
        numbers, images = [], set()
        for element in elements:
            numbers.append(len(element['expressions']))
            images.add(element['image_key'])
        return cls(np.array([len(line) for line in lines], np.int64), np.array(numbers, np.int64), sorted(images))

    def to_json(self) -> bytes:
        """The index as JSON, as :meth:`from_json` reads it."""
        return json.dumps({'format_version': INDEX_VERSION, 'lengths': self.lengths.tolist(),
                           'num_sentences': self.num_sentences.tolist(), 'images': self.images}).encode()

    @classmethod
    def from_json(cls, content: bytes, where: str) -> LineIndex:
        """Read an index; raises InputError if it is damaged or of another version.

        Args:
            content: what the index file holds.
            where: the file, for errors.
        """
        mend = 'Prepare the data set again.'
        element = decode_line(content, where)
        if (version := element.get('format_version')) != INDEX_VERSION:
            raise InputError(f'{where}: expected an index of format_version {INDEX_VERSION}, got {version!r}. {mend}')
        columns = []
        for key in ('lengths', 'num_sentences'):
            column = get_field(element, key, list, where)
            if not all(type(number) is int and 0 < number < 1 << 40 for number in column):
                raise InputError(f'{where}: {key!r} must hold positive whole numbers. {mend}')
            columns.append(np.array(column, np.int64))
        if len(columns[0]) != len(columns[1]):
            raise InputError(f'{where}: lengths has {len(columns[0])} entries, num_sentences {len(columns[1])}. {mend}')
        images = get_field(element, 'images', list, where)
        if not all(type(image) is str for image in images):
            raise InputError(f"{where}: 'images' must hold strings. {mend}")
        return cls(*columns, images)


class ReferentsOfLines(Referents):
    """Referents that are parsed from their lines when they are asked for.

    Args:
        index: the index of the lines.
        where: what holds them, for errors.
        image_folder: what stands before an image's name in ``img_path``.
    """

    def __init__(self, index: LineIndex, where: str, image_folder: str) -> None:
        super().__init__(index.num_sentences)
        self.where = where
        self.image_folder = image_folder

    @abstractmethod
    def line(self, idx: int) -> bytes:
        """The complete line of one referent, as :func:`line_of` writes it.

        Args:
            idx: which referent, from 0.
        """

    def __getitem__(self, idx: int) -> dict:
        idx = range(len(self))[idx]
        where = f'{self.where}, line {idx + 1}'
        referent = referent_of(decode_line(self.line(idx), where), where, self.image_folder)
        if len(referent['sentences']) != self.num_sentences[idx]:
            raise InputError(f'{where}: the line was changed after its index was made, which counts '
                             f'{self.num_sentences[idx]} expressions. Prepare the data set again; or delete the '
                             'index, and the lines are read as those of your own.')
        return referent


def iterate_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers from 1.

    Args:
        path: the file.

    Raises:
        InputError: a line is endless.
    """
    with open_regular(path) as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), b''), 1):
            if len(line) == LONGEST_LINE:
                raise InputError(f'{path}, line {number}: it is longer than {LONGEST_LINE} bytes. Write one referent '
                                 'per line, and large masks as RLE or PNG.')
            line = line.removeprefix(BOM_UTF8)  # some editors write one, and files are joined
            if line.strip():
                yield number, line


def decode_line(line: bytes, where: str) -> dict:
    """Decode a line of JSON that holds one object.

    Args:
        line: its bytes, UTF-8.
        where: file and line, for errors.

    Raises:
        InputError: it is anything else.
    """
    try:
        element = _DECODER.decode(line.decode(JSON_ENCODING))
    except (ValueError, RecursionError) as error:
        raise InputError(f'{where}: it is no JSON object ({error}). Write one object per line, in UTF-8.') from None
    if not isinstance(element, dict):
        raise InputError(f'{where}: expected an object {{...}}, got one of type {type(element).__name__}.')
    return element


def referent_of(element: dict, where: str, image_folder: str, mask_folder: str | None = None) -> dict:
    """Make a referent of a complete element.

    Args:
        element: what a line holds, with every field but ``kinds``.
        where: file and line, for errors.
        image_folder: what stands before the image's name in ``img_path``.
        mask_folder: where masks in files lie. Default None; there are none.

    Returns:
        As :meth:`BaseReferringDataset.load_referents` has it; further keys of the element are kept.

    Raises:
        InputError: a field is missing or of another type, or a key has another meaning in samples.
    """
    if wrong := _RESERVED & element.keys():
        raise InputError(f'{where}: the keys {sorted(wrong)} have another meaning in samples. Name them otherwise.')
    name = get_relative_path(element, 'image', where)
    mask = element.get('mask')
    if isinstance(mask, str):
        if mask_folder is None:
            raise InputError(f"{where}: 'mask' must be an RLE or null, got a path")
        mask = {'file': f'{mask_folder}/{get_relative_path(element, "mask", where)}'}
    elif mask is not None and not isinstance(mask, list) and not (isinstance(mask, dict) and 'counts' in mask):
        raise InputError(f'{where}: mask must be an RLE, a list of polygons, the path of a PNG, or null')
    return {
        'img_path': f'{image_folder}/{name}',
        'height': _get_side(element, 'height', where),
        'width': _get_side(element, 'width', where),
        'segmentation': mask,
        'image_id': get_field(element, 'image_id', int, where),
        'ref_id': get_field(element, 'ref_id', int, where),
        'ann_id': get_field(element, 'ann_id', (int, str), where),
        'category_id': get_field(element, 'category_id', int, where),
        # Lines were prepared without it as long as all images were taken as they are stored.
        'ignore_orientation': get_field({'ignore_orientation': True, **element}, 'ignore_orientation', bool, where),
        'sentences': _sentences(element, where),
        **{key: value for key, value in element.items() if key not in _FIELDS},
    }


def line_of(referent: dict, image: str, mask: dict | None) -> bytes:
    """Write a referent as a line of JSON with every field.

    Args:
        referent: as :meth:`BaseReferringDataset.load_referents` has it, with its ``image_key``.
        image: name of its image.
        mask: its mask as an RLE; None if it has none.

    Raises:
        InputError: a value is nothing that JSON can hold.
    """
    sentences = referent['sentences']
    element = {'image': image, 'expressions': [sentence['text'] for sentence in sentences], 'mask': mask,
               'sent_ids': [sentence['sent_id'] for sentence in sentences]}
    if any(sentence['kind'] for sentence in sentences):
        element['kinds'] = [sentence['kind'] for sentence in sentences]
    element.update((key, value) for key, value in referent.items() if key not in _RESERVED)
    try:
        return json.dumps(element, ensure_ascii=False, allow_nan=False, separators=(',', ':')).encode() + b'\n'
    except (TypeError, ValueError) as error:
        raise InputError(f'ref_id {referent["ref_id"]} holds what JSON cannot: {error}') from error


def get_relative_path(element: dict, key: str, where: str) -> str:
    """Take a path out of an element, which must not lead out of the folder that it is relative to.

    Args:
        element: what a line holds.
        key: name of the field.
        where: file and line, for errors.

    Raises:
        InputError: it is anything else.
    """
    return relative_name(get_field(element, key, str, where), f'{where}: {key!r}')


def check_mask(mask: list | dict | str | None, height: int, width: int, where: str) -> None:
    """Check the numbers of a mask as users write it; drawing it tells whether it is good.

    Args:
        mask: polygons, an RLE, a path or None.
        height: height of the image in pixels.
        width: width of the image in pixels.
        where: file and line, for errors.

    Raises:
        InputError: names the element that has not the shape it should.
    """
    if mask is None or isinstance(mask, str):
        return
    if isinstance(mask, dict):
        size, counts = mask.get('size'), mask.get('counts')
        if size != [height, width]:
            raise InputError(f'{where}: mask.size must be [height, width] of the image, [{height}, {width}]')
        if isinstance(counts, str):
            return
        check_numbers(counts, f'{where}: mask.counts', 'a list of run lengths or COCO\'s compressed string')
        for index, run in enumerate(counts):
            if type(run) is not int or not 0 <= run <= height * width:
                raise InputError(f'{where}: mask.counts[{index}] must be a run length: a whole number from 0 to the '
                                 f'{height * width} pixels of the image')
    elif not mask:
        raise InputError(f'{where}: mask is an empty list. Write polygons; or null, if the expression refers to '
                         'nothing')
    else:
        for index, polygon in enumerate(mask):
            check_numbers(polygon, f'{where}: mask[{index}]', 'a flat list of x, y pairs')
            if len(polygon) % 2:
                raise InputError(f'{where}: mask[{index}] must be x, y pairs, got {len(polygon)} numbers')


def _sentences(element: dict, where: str) -> list[dict]:
    texts = get_field(element, 'expressions', list, where)
    columns = {'text': texts, 'sent_id': get_field(element, 'sent_ids', list, where),
               'kind': get_field(element, 'kinds', list, where) if 'kinds' in element else [''] * len(texts)}
    for key, name, kind in (('text', 'expressions', str), ('sent_id', 'sent_ids', int), ('kind', 'kinds', str)):
        if len(columns[key]) != len(texts):
            raise InputError(f'{where}: {name} has {len(columns[key])} entries, expressions {len(texts)}')
        for index, value in enumerate(columns[key]):
            if type(value) is not kind:
                raise InputError(f'{where}: {name}[{index}] must be of type {kind.__name__}, got '
                                 f'{type(value).__name__}')
    for index, text in enumerate(texts):
        check_expression(text, f'{where}: expressions[{index}]')
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _get_side(element: dict, key: str, where: str) -> int:
    side = get_field(element, key, int, where)
    if not 0 < side < _LONGEST_SIDE:
        raise InputError(f'{where}: {key!r} must be a number of pixels from 1 to {_LONGEST_SIDE - 1}')
    return side


_DECODER = json_decoder(take_constants=False)
