"""What all readers of annotation files have in common: one record, and the reading of sloppy values."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import Segmentation
from mmrefseg.utils.expression_checks import check_expression

_SPLITS = {'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val', 'dev': 'val',
           'test': 'test', 'testing': 'test', 'testa': 'testA', 'testb': 'testB'}
_LONGEST_NUMBER = 40
_LARGEST_SIDE = 1 << 16
_BY_CLASS = ('objects have no words of their own; the name of their class is taken as their expression (--expression '
             'names the only field to look at, and skips objects without it)')
_MOST_FIELDS = 20


class Annotation(NamedTuple):
    """One object of one image, as a tool's file describes it.

    Args:
        image: name of the image, as the file has it.
        size: height and width in pixels of the image as the tool saw it; None if the file does not say.
        expressions: what is said of the object.
        segmentation: as :func:`~mmrefseg.structures.mask_formats.draw_mask` takes it; None: nothing is referred to.
        where: file and element, for messages.
        split: the split that the file puts it into. Default ``''``, none.
        in_shares: whether polygons are in shares of the image's width and height. Default False, in pixels.
    """

    image: str
    size: tuple[int, int] | None
    expressions: tuple[str, ...]
    segmentation: Segmentation
    where: str
    split: str = ''
    in_shares: bool = False


class Options(NamedTuple):
    """How annotation files are read where they leave a choice.

    Args:
        expression: place of the expression, such as ``'attributes.expression'``, ``'caption'`` or ``'category'``.
            Default None, the first of the format's places that holds words.
        boxes: whether an object that has a box alone gets the box as its mask. Default False, it is skipped.
        in_shares: whether coordinates are shares of the image's sides where a format has pixels. Default False.
    """

    expression: str | None = None
    boxes: bool = False
    in_shares: bool = False


@dataclass
class Notes:
    """What happened on the way.

    Args:
        counts: how often something happened that the user should know of, such as skipping, by its description.
            Default none.
        broken: what is wrong, one message per element. Default none.
        fields: where an expression could have stood, of an object that has none at the place that was asked for.
            Default none.
    """

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    @contextmanager
    def element(self) -> Iterator[None]:
        """Note what is wrong with an element, and go on with the next."""
        try:
            yield
        except InputError as error:
            self.broken.append(str(error))

    def of_class(self) -> None:
        """Count an object whose expression is the name of its class, for want of another."""
        self.counts[_BY_CLASS] += 1


def parse_number(value: Any, where: str) -> float:
    """A finite number, also one that is written as text.

    Args:
        value: what the file holds.
        where: file and field, for errors.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        try:
            value = float(value)
        except ValueError:
            raise InputError(f'{where} must be a number, got {value!r}') from None
    try:
        if type(value) in (int, float) and isfinite(value):
            return value
    except OverflowError:  # an endless whole number
        pass
    raise InputError(f'{where} must be a finite number, got '
                     + (str(value) if isinstance(value, float) else f'an object of type {type(value).__name__}'))


def parse_numbers(values: Any, where: str) -> list[float]:
    """A flat list of finite numbers, also of ``[x, y]`` pairs and of numbers as text.

    Args:
        values: what the file holds.
        where: file and field, for errors.

    Raises:
        InputError: it is none.
    """
    if not isinstance(values, list | tuple):
        raise InputError(f'{where} must be a list of numbers, got an object of type {type(values).__name__}')
    flat = [part for value in values for part in (value if isinstance(value, list | tuple) else (value,))]
    return [parse_number(value, where) for value in flat]


def parse_whole_numbers(values: Any, where: str) -> list[int]:
    """A flat list of whole numbers, read as :func:`parse_numbers` does.

    Args:
        values: what the file holds.
        where: file and field, for errors.

    Raises:
        InputError: it is none, or one is a fraction.
    """
    numbers = parse_numbers(values, where)
    if any(number != int(number) for number in numbers):
        raise InputError(f'{where} must hold whole numbers')
    return [int(number) for number in numbers]


def image_size_of(height: Any, width: Any, where: str) -> tuple[int, int] | None:
    """Height and width of an image in pixels; None where a file holds neither.

    Args:
        height: what the file holds.
        width: the same.
        where: file and element, for errors.

    Raises:
        InputError: they are no size.
    """
    if not height and not width:
        return None
    size = tuple(parse_number(value, f'{where}: height and width') for value in (height, width))
    if any(side != int(side) or not 0 < side < _LARGEST_SIDE for side in size):
        raise InputError(f'{where}: height and width must be whole numbers of pixels from 1 to {_LARGEST_SIDE - 1}')
    return int(size[0]), int(size[1])


def box_polygon(x: float, y: float, width: float, height: float) -> list[float]:
    """A box as a polygon of four points.

    Args:
        x: of its left side.
        y: of its upper side.
        width: its width.
        height: its height.
    """
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def words_at(element: dict, paths: Sequence[str], options: Options, notes: Notes, where: str) -> tuple[str, ...]:
    """The expressions at the first path that holds any.

    Args:
        element: a dictionary, perhaps of dictionaries.
        paths: names of fields, the last one that of the class; a dot leads into the next dictionary.
        options: may name the only path to look at.
        notes: counts objects of which the class alone is known, and gets the fields of one without words.
        where: file and element, for errors.

    Raises:
        InputError: something else than words stands there, or an endless text.
    """
    for path in [options.expression] if options.expression else paths:
        value: Any = element
        for key in path.split('.'):
            value = value.get(key) if isinstance(value, dict) else None
        if words := words_of(value, f'{where}: {path}'):
            if path == paths[-1] and not options.expression:
                notes.of_class()
            return words
    if not notes.fields:
        notes.fields.extend(_texts_in(element))
    return ()


def _texts_in(element: dict, before: str = '') -> list[str]:
    """Paths of all texts in an element."""
    found = [f'{before}{str(key)[:40]}' for key, value in element.items() if isinstance(value, str) and value.strip()]
    inside = [] if before else [path for key, value in element.items() if isinstance(value, dict)
                                for path in _texts_in(value, f'{str(key)[:40]}.')]
    return [*found, *inside][:_MOST_FIELDS]


def words_of(value: Any, where: str) -> tuple[str, ...]:
    """Expressions: of a text, a list of texts, or of dictionaries with a ``sent``, ``raw`` or ``text``.

    Args:
        value: what the file holds; None is no expression.
        where: file and field, for errors.

    Raises:
        InputError: it is something else, or an endless text.
    """
    found = []
    for entry in value if isinstance(value, list | tuple) else [value]:
        if isinstance(entry, dict):
            entry = entry.get('sent') or entry.get('raw') or entry.get('text')
        if entry is None:
            continue
        if not isinstance(entry, str):
            raise InputError(f'{where} must be words, got an object of type {type(entry).__name__}')
        check_expression(entry, where)
        if text := ' '.join(entry.split()):
            found.append(text)
    return tuple(dict.fromkeys(found))


def split_in(name: str) -> str:
    """The split that a file or folder is called after; nothing if none.

    Args:
        name: its path, such as ``'valid/_annotations.coco.json'`` or ``'instances_train2017.json'``.
    """
    for part in reversed(PurePosixPath(name).parts):
        for word in re.findall('[a-z]+', part.lower()):
            if word in _SPLITS:
                return _SPLITS[word]
    return ''
