"""Which answer belongs to which expression of a data set."""
from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmrefseg.errors import InputError
from mmrefseg.utils.lmdb_file import is_lmdb_address

from .prediction import Prediction

# In the order in which an answer's names narrow down its expression.
_UNIQUE = ('sent_id', 'task_id')
_OTHERS = ('ref_id', 'image_id', 'file_name')
_SHOWN = 5


class Matched(NamedTuple):
    """The answers to the expressions of a split, and what did not match.

    Args:
        answers: one per expression, in the data set's order; None where there is none.
        unmatched: answers that belong to no expression, and why.
        other_texts: answers whose ids fit, but whose text is another than the expression's.
    """

    answers: list[Prediction | None]
    unmatched: list[tuple[Prediction, str]]
    other_texts: list[Prediction]


def match_predictions(infos: Sequence[Mapping[str, Any]], predictions: Sequence[Prediction],
                      image_folder: str = '') -> Matched:
    """Find the expression of each answer.

    Every name of an answer must fit: ``sent_id`` or ``task_id``, ``ref_id``, ``image_id``, ``file_name`` (below the
    folder of images, or the last part of that; with or without suffix, and with RefCOCO's suffix of the annotation).
    The text narrows down what is left, case, blanks and a full stop aside; with a ``sent_id`` or ``task_id`` it may be
    another. Where one referent has the same expression several times, an answer counts for each of them. Of several
    answers to one expression that of the highest score is taken.

    Args:
        infos: expressions as :meth:`BaseReferringDataset.get_data_info` has them.
        predictions: the answers.
        image_folder: folder that file names are relative to. Default ``''``.

    Raises:
        InputError: an expression has several answers, not all of which have a score.
    """
    asked = _Index(infos, image_folder)
    answers: dict[int, Prediction] = {}
    unmatched, other_texts = [], []
    for prediction in predictions:
        indices = asked.find(prediction)
        if isinstance(indices, str):
            unmatched.append((prediction, indices))
            continue
        if asked.has_another_text(prediction, indices):
            other_texts.append(prediction)
        for index in indices:
            other = answers.get(index)
            answers[index] = prediction if other is None else _better(other, prediction)
    return Matched([answers.get(index) for index in range(len(infos))], unmatched, other_texts)


def file_name_of(path: str, image_folder: str) -> str:
    """An image's name below the folder of images; its last part where it isn't there.

    Args:
        path: of the image, or its address in an LMDB file.
        image_folder: the folder.
    """
    if is_lmdb_address(path):
        return path.partition('#')[2].removeprefix('images/')
    folder = os.path.join(image_folder, '') if image_folder else ''
    return path.removeprefix(folder) if folder and path.startswith(folder) else os.path.basename(path)


def _better(first: Prediction, second: Prediction) -> Prediction:
    if first.score is None or second.score is None:
        raise InputError(f'{first.where} and {second.where} answer the same expression; remove one, or give each a '
                         'score, of which the highest counts')
    return second if second.score > first.score else first


def _normal(text: str) -> str:
    return ' '.join(text.casefold().split()).rstrip('. ')


class _Index:
    """Indices of expressions by what answers may call them."""

    def __init__(self, infos: Sequence[Mapping[str, Any]], image_folder: str) -> None:
        self._texts = [_normal(info['text']) for info in infos]
        self._referents = [f'{info["image_id"]} {info["ref_id"]}' for info in infos]
        self._indices: dict[str, dict[str, set[int]]] = {
            field: defaultdict(set) for field in (*_UNIQUE, *_OTHERS, 'text')}
        for index, info in enumerate(infos):
            for field in (*_UNIQUE, 'ref_id', 'image_id'):
                if info.get(field) is not None:
                    self._indices[field][str(info[field])].add(index)
            for name in _names_of_file(info, image_folder):
                self._indices['file_name'][name].add(index)
            self._indices['text'][self._texts[index]].add(index)

    def find(self, prediction: Prediction) -> list[int] | str:
        """Indices of the expressions that are meant, or why there are none."""
        found: set[int] | None = None
        for field in (*_UNIQUE, *_OTHERS):
            value = prediction.names.get(field)
            if value is None:
                continue
            indices = self._indices[field].get(value)
            if not indices:
                return f'there is no {field} {value[:80]!r}'
            found = indices if found is None else found & indices
            if not found:
                return f'its {field} {value[:80]!r} is not that of its other names'
        text = prediction.names.get('text')
        if text is not None and (found is None or len(found) > 1):
            indices = self._indices['text'].get(_normal(text), set())
            found = indices if found is None else found & indices
            if not found:
                return f'there is no expression {text[:80]!r} by its names'
        assert found, 'an answer has a name at least'
        if len({self._referents[index] for index in found}) > 1:
            return f'{len(found)} expressions have its names; write the sent_id'
        if len({self._texts[index] for index in found}) > 1:
            return f'its referent has {len(found)} expressions; write the sent_id or the text'
        return sorted(found)

    def has_another_text(self, prediction: Prediction, indices: Sequence[int]) -> bool:
        """Whether the answer's text is not that of its expression."""
        text = prediction.names.get('text')
        return text is not None and _normal(text) != self._texts[indices[0]]


def _names_of_file(info: Mapping[str, Any], image_folder: str) -> set[str]:
    name = file_name_of(info['img_path'], image_folder)
    names = {name, os.path.basename(name)}
    for known in list(names):
        stem, suffix = os.path.splitext(known)
        names |= {stem, f'{stem}_{info["ann_id"]}{suffix}'}
    return names


def refuse_strangers(unmatched: Sequence[tuple[Prediction, str]], number: int, most: float) -> None:
    """Refuse a file of which too much belongs to no expression.

    Args:
        unmatched: answers that belong to none, and why.
        number: of all answers.
        most: the share that may, in percent.

    Raises:
        InputError: it is more; names some.
    """
    if unmatched and 100 * len(unmatched) > most * number:
        shown = '\n'.join(f'  {prediction.where}: {reason}' for prediction, reason in unmatched[:_SHOWN])
        raise InputError(f'{len(unmatched)} of {number} predictions belong to no expression that is evaluated, more '
                         f'than {most:g} %:\n{shown}\nWere they made on other data or another split? Name what they '
                         'were made on, or allow more with --max-unmatched')
