"""Ultralytics' segmentation folders, as Roboflow exports them: one text file per image, and a ``data.yaml``.

Label Studio writes ``classes.txt`` instead.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.utils.files import JSON_ENCODING, read_regular
from mmrefseg.utils.safe_names import refuse_links_out

from .annotation import Annotation, Notes, Options, box_polygon, parse_number, split_in, words_of
from .format_recognition import others_in

_MAX_BYTES = 1 << 26
_MAX_SETTINGS = 1 << 17  # PyYAML reads 50 kB per second
_MAX_DEPTH = 20
_CLASSES = 'classes.txt'  # what Label Studio writes in place of data.yaml, one class per line
_OPENING = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken,
            yaml.FlowSequenceStartToken)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def read_yolo(source: Path, options: Options, notes: Notes) -> Iterator[Annotation]:
    """The outlines of all ``labels`` folders; the names of classes are the expressions.

    Args:
        source: the folder with ``data.yaml`` or ``classes.txt``.
        options: how they are read.
        notes: gets what is broken or skipped.

    Raises:
        MissingInputError: there is neither of the two, or no file of labels.
        InputError: ``data.yaml`` names no classes, or is one of several, or a file is a link to a place outside.
    """
    settings = sorted([*source.glob('*.yaml'), *source.glob('*.yml')]) or sorted(source.glob(_CLASSES))
    files = sorted(file for file in source.rglob('*.txt') if 'labels' in file.relative_to(source).parts)
    for file in (*settings, *files):
        refuse_links_out(str(file), str(source))
    named = [file for file in settings if file.stem == 'data'] or settings
    if not named:
        raise MissingInputError(f'{source} holds no data.yaml or classes.txt, which name the classes'
                                f'{others_in(source)}. Name the exported folder, and the right format.')
    if len(named) > 1:
        raise InputError(f'{source} holds {", ".join(file.name for file in named)}, and nobody can tell which names '
                         'the classes. Leave one, and call it data.yaml.')
    names = _names(named[0])
    if not files:
        raise MissingInputError(f'{source} holds no labels/*.txt. Name the exported folder.')
    for file in files:
        inside = file.relative_to(source).with_suffix('')
        index = inside.parts.index('labels')
        image = '/'.join((*inside.parts[:index], 'images', *inside.parts[index + 1:]))
        with notes.element():
            for number, line in enumerate(_text(file, _MAX_BYTES).splitlines(), 1):
                if line.strip():
                    with notes.element():
                        yield from _of_line(line, f'{file}, line {number}', image, names, options, notes)


def _of_line(line: str, where: str, image: str, names: dict[str, str], options: Options,
             notes: Notes) -> Iterator[Annotation]:
    key, *words = line.split()
    numbers = [parse_number(word, where) for word in words]
    if key not in names:
        raise InputError(f'{where}: there is no class {key[:20]!r} in data.yaml or classes.txt')
    if any(not -0.05 <= number <= 1.05 for number in numbers):
        raise InputError(f'{where}: coordinates must be shares of the image, 0 to 1')
    if len(numbers) == 4:
        x, y, width, height = numbers
        if not options.boxes:
            notes.counts['objects have no outline, or a box alone; they are skipped (--boxes takes boxes as '
                         'masks)'] += 1
            return
        notes.counts['objects have a box alone; the box is their mask'] += 1
        numbers = box_polygon(x - width / 2, y - height / 2, width, height)
    if len(numbers) < 6 or len(numbers) % 2:
        raise InputError(f'{where}: expected a class and x, y pairs of three points or more, got {len(numbers)} '
                         'numbers')
    expression = words_of(names[key], where)
    yield Annotation(image, None, expression, [numbers], where, split_in(image), in_shares=True)


def _names(file: Path) -> dict[str, str]:
    if file.name == _CLASSES:
        return {str(index): name for index, name in enumerate(_text(file, _MAX_SETTINGS).splitlines())}
    try:
        text = _text(file, _MAX_SETTINGS)
        _check_tokens(text)
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f'{file} is no YAML that is read ({str(error)[:200]}). Export it again.') from error
    names = content.get('names') if isinstance(content, dict) else None
    entries = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(entries, dict) or not entries:
        raise InputError(f"{file}: 'names' must list the classes. Export it again.")
    if not all(isinstance(value, int | float | str) for entry in entries.items() for value in entry):
        raise InputError(f"{file}: 'names' must give each class one name. Export it again.")
    if any(isinstance(value, bool) for entry in entries.items() for value in entry):
        raise InputError(f"{file}: 'names' holds yes, no, on or off, which YAML takes for truth values. Put it in "
                         'quotes.')
    found = {str(key): str(name) for key, name in entries.items()}
    if len(found) < len(entries):
        raise InputError(f'{file}: a class stands twice in names. Export it again.')
    return found


class _Loader(yaml.SafeLoader):
    """Refuses a mapping with the same key twice, of which the last would count."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Make a dictionary of a YAML mapping.

        Args:
            node: as it is written.
            deep: whether all inside it is made at once, too. Default False.
        """
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key, number in Counter(keys).items() if number > 1]:
            raise InputError(f'it has the key {twice[0][:80]!r} twice')
        return super().construct_mapping(node, deep)


def _check_tokens(text: str) -> None:
    """Refuse what would take memory or time without end; the scanner's time grows with the square of the depth."""
    depth = 0
    for token in yaml.scan(text, yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            raise InputError('its aliases (*name) might unfold without end')
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _MAX_DEPTH:
            raise InputError(f'it is nested more than {_MAX_DEPTH} deep')


def _text(file: Path, limit: int) -> str:
    try:
        return read_regular(file, limit).decode(JSON_ENCODING)
    except UnicodeDecodeError as error:
        raise InputError(f'{file} is not in UTF-8 ({error}). Save it in UTF-8.') from None
