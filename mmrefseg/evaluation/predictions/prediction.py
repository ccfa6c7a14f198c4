"""One answer out of a file of predictions, whoever wrote it."""
from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import Segmentation
from mmrefseg.utils.expression_checks import check_expression
from mmrefseg.utils.field_checks import is_int64
from mmrefseg.utils.safe_names import refuse_links_out, relative_name

# Names of the same field: ours first.
_IDS = {'sent_id': ('sent_id', 'sentence_id'), 'task_id': ('task_id', ), 'ref_id': ('ref_id', ),
        'image_id': ('image_id', ), 'file_name': ('file_name', 'image')}
_TEXTS = ('text', 'expression', 'sentence', 'sent', 'phrase')


class Prediction(NamedTuple):
    """One answer out of a file, with the place where it stands.

    Args:
        where: file and entry, for messages.
        names: what it says of its expression, as strings: ``sent_id``, ``task_id``, ``ref_id``, ``image_id``,
            ``file_name`` and ``text``, those that it has.
        masks: its mask by the name of the protocol that made it; None stands for no protocol in particular.
        score: which of several answers to one expression is taken: the highest. None if it has none.
        entry: all that the file holds of it.
    """

    where: str
    names: dict[str, str]
    masks: dict[str | None, Segmentation]
    score: float | None
    entry: Mapping[str, Any]


def read_entry(entry: Any, where: str, folder: str) -> Prediction:
    """Take an answer from an entry of a JSON file.

    Args:
        entry: what the file holds.
        where: file and entry, for messages.
        folder: folder that paths of masks are relative to.

    Returns:
        The answer; masks are looked at when they are drawn.

    Raises:
        InputError: it is no object, names nothing, has no mask, or a field isn't as documented.
    """
    if not isinstance(entry, dict):
        raise InputError(f'{where}: expected an object, got one of type {type(entry).__name__}')
    names = {}
    for field, aliases in _IDS.items():
        value = next((entry[alias] for alias in aliases if entry.get(alias) is not None), None)
        if value is not None:
            names[field] = id_text(value, f'{where}: {field!r}')
    text = next((entry[alias] for alias in _TEXTS if entry.get(alias) is not None), None)
    if text is not None:
        if not isinstance(text, str):
            raise InputError(f'{where}: its text must be a string, got an object of type {type(text).__name__}')
        check_expression(text, where)
        names['text'] = text
    if not names:
        raise InputError(f'{where}: it names no expression. Write its sent_id; or ref_id, image_id or file_name, '
                         'with the text where that is not enough')
    return Prediction(where, names, _masks(entry, where, folder), _score(entry, where), entry)


def id_text(value: Any, where: str) -> str:
    """An id as a string, whether a file has it as a number or as a string.

    Args:
        value: the id.
        where: file, entry and field, for messages.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not (isinstance(value, str) or is_int64(value)):
        raise InputError(f'{where} must be a whole number or a string')
    return str(value).strip()


def mask_file(folder: str, name: str, where: str) -> dict[str, str]:
    """A mask in a file below a folder.

    Args:
        folder: the folder.
        name: of the file in it, checked.
        where: file and entry, for messages.

    Raises:
        InputError: the file is a link to a place outside of the folder.
    """
    path = f'{folder}/{name}'
    try:
        refuse_links_out(path, folder)
    except InputError as error:
        raise InputError(f'{where}: {error}') from None
    return {'file': path}


def _masks(entry: Mapping[str, Any], where: str, folder: str) -> dict[str | None, Segmentation]:
    protocol = entry.get('protocol')
    others = entry.get('masks') or {}
    if not isinstance(protocol, str | None) or not isinstance(others, dict):
        raise InputError(f"{where}: 'protocol' must be a name, and 'masks' an object with a mask per protocol")
    masks = {protocol: _segmentation(entry, where, folder)}
    for name, other in others.items():
        if not isinstance(other, dict):
            raise InputError(f'{where}: masks[{name!r}] must be an object with a segmentation')
        masks.setdefault(name, _segmentation(other, f'{where}: masks[{name!r}]', folder))
    return masks


def _segmentation(entry: Mapping[str, Any], where: str, folder: str) -> Segmentation:
    if ('segmentation' in entry) == ('mask' in entry):
        raise InputError(f"{where}: write either 'segmentation' (an RLE or polygons; null or [] for no pixel) or "
                         "'mask' (the path of a PNG)")
    value = entry.get('segmentation', entry.get('mask'))
    if 'mask' in entry and isinstance(value, str):
        return mask_file(folder, relative_name(value, f'{where}: its mask'), where)
    if value is None or value == []:
        return None
    if isinstance(value, list) or (isinstance(value, dict) and 'counts' in value):
        return value
    raise InputError(f'{where}: its mask must be an RLE, polygons or the path of a PNG')


def _score(entry: Mapping[str, Any], where: str) -> float | None:
    score = entry.get('score')
    if score is None:
        return None
    is_number = is_int64(score) if isinstance(score, int) else isinstance(score, float) and isfinite(score)
    if isinstance(score, bool) or not is_number:
        raise InputError(f"{where}: 'score' must be a finite number")
    return float(score)
