"""PhraseCut's official subsets (arXiv 2008.01187), and the figures of each."""
from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence

from mmrefseg.errors import InputError

from .iou import summarise_iou

ATTRIBUTE_WORDS = ('color', 'shape', 'material', 'texture', 'state', 'adj', 'noun', 'loc', 'count', 'bad')
WORD_LISTS = ('coco', 'stuff', *ATTRIBUTE_WORDS)

SUBSETS = (
    'all', 'c_coco', 'c20', 'c100', 'c500', 'c21-100', 'c101-500', 'c500+',
    'i_single', 'i_multi', 'i_many',
    'p_name', 'p_att', 'p_att+', 'p_rel', 'p_rel+', 'p_verbose', 'p_attm', 'p_relm',
    't_stuff', 't_obj', 's_small', 's_mid', 's_large',
    'a20', 'a100', 'a200', 'a21-100', 'a101-200', 'a200+', *(f'a_{name}' for name in ATTRIBUTE_WORDS),
    'p_att_rel', 'd_cocotv', 'd_notcocotv')
"""In the order of the official evaluator."""

COCO_NAMES = frozenset((
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat', 'traffic light',
    'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant',
    'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard',
    'sports ball', 'kite', 'baseball bat', 'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle',
    'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli',
    'carrot', 'hot dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet',
    'tv', 'laptop', 'mouse', 'remote', 'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink',
    'refrigerator', 'book', 'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush'))

_STRUCTURES = {'name': 'p_name', 'attribute': 'p_att+', 'relation': 'p_rel+', 'verbose': 'p_verbose'}
_CATEGORY_RANKS, _ATTRIBUTE_RANKS = (20, 100, 500), (20, 100, 200)


class PhraseCutSubsets:
    """Says which of the official subsets a phrase belongs to.

    A name is of stuff if a word of that list is anywhere in it; the other lists hold whole names and attributes. A
    phrase without attributes counts among those of rare ones (``a200+``), as the official evaluator has it.

    Args:
        categories: names, from the most to the least frequent.
        attributes: likewise.
        word_lists: name of a list (see ``WORD_LISTS``) → its words. Default None: only ``coco``, COCO's 80 names.
            Subsets whose list is missing are left out.

    Raises:
        InputError: a word list has an unknown name.
    """

    def __init__(self,
                 categories: Sequence[str],
                 attributes: Sequence[str],
                 word_lists: Mapping[str, Collection[str]] | None = None) -> None:
        unknown = sorted(set(word_lists or ()) - set(WORD_LISTS))
        if unknown:
            raise InputError(f'the word lists {", ".join(unknown)} are unknown; there are {", ".join(WORD_LISTS)}')
        self._categories, self._attributes = _ranks(categories), _ranks(attributes)
        self._words = {'coco': COCO_NAMES, **(word_lists or {})}

    def of(self, structure: Mapping, num_instances: int, of_coco: bool, area: int, pixels: int) -> list[str]:
        """Names of the subsets of one phrase, ``all`` included, in the official order.

        Args:
            structure: ``name``, ``attributes``, ``relation_descriptions`` and ``type`` of the phrase.
            num_instances: how many boxes it has.
            of_coco: whether COCO has its image.
            area: pixels of its region.
            pixels: pixels of its image.
        """
        found = {'all', 'd_cocotv' if of_coco else 'd_notcocotv', *self._by_name(structure['name']),
                 *self._by_attributes(structure['attributes']), *_by_structure(structure)}
        if num_instances:
            found.add('i_single' if num_instances == 1 else 'i_multi' if num_instances < 5 else 'i_many')
        found.add('s_small' if 50 * area < pixels else 's_large' if 5 * area > pixels else 's_mid')
        return [name for name in SUBSETS if name in found]

    def _by_name(self, name: str) -> Iterator[str]:
        yield from _by_rank('c', self._categories.get(name, _CATEGORY_RANKS[-1]), _CATEGORY_RANKS)
        if name in self._words['coco']:
            yield 'c_coco'
        if 'stuff' in self._words:
            yield 't_stuff' if any(word in name for word in self._words['stuff']) else 't_obj'

    def _by_attributes(self, attributes: Sequence[str]) -> Iterator[str]:
        rarest = _ATTRIBUTE_RANKS[-1]
        best = min((self._attributes.get(attribute, rarest) for attribute in attributes), default=rarest)
        yield from _by_rank('a', best, _ATTRIBUTE_RANKS)
        for name in ATTRIBUTE_WORDS:
            if not set(attributes).isdisjoint(self._words.get(name, ())):
                yield f'a_{name}'


def _ranks(names: Sequence[str]) -> dict[str, int]:
    return {name: rank for rank, name in reversed(list(enumerate(names)))}


def _by_rank(letter: str, rank: int, ends: tuple[int, int, int]) -> Iterator[str]:
    first, second, third = ends
    bands = (f'{first}', f'{first + 1}-{second}', f'{second + 1}-{third}', f'{third}+')
    yield letter + bands[bisect_right(ends, rank)]
    yield from (f'{letter}{end}' for end in (second, third) if rank < end)


def _by_structure(structure: Mapping) -> Iterator[str]:
    attributes, relations = len(structure['attributes']), len(structure['relation_descriptions'])
    yield from (name for name, true in {
        'p_att': attributes, 'p_attm': attributes > 1, 'p_rel': relations, 'p_relm': relations > 1,
        'p_att_rel': attributes and relations}.items() if true)
    if structure['type'] in _STRUCTURES:
        yield _STRUCTURES[structure['type']]


def summarise_subsets(subsets: Sequence[Collection[str]],
                      intersections: Sequence[int],
                      unions: Sequence[int],
                      thresholds: Sequence[int] = (50, 60, 70, 80, 90)) -> dict[str, dict[str, float]]:
    """Summarise the IoU of phrases in each subset.

    Args:
        subsets: names of the subsets of each phrase.
        intersections: intersection in pixels of each phrase.
        unions: union in pixels of each phrase.
        thresholds: IoU levels of Pr@X in percent, whole numbers. Default (50, 60, 70, 80, 90).

    Returns:
        Subset → ``count``, how many phrases it has, and the figures of :func:`summarise_iou`; subsets without a phrase
        are left out.

    Raises:
        InputError: there are no phrases, or not equally many of everything.
    """
    members: dict[str, list[tuple[int, int]]] = {name: [] for name in SUBSETS}
    for names, counts in zip(subsets, zip(intersections, unions, strict=True), strict=True):
        for name in names:
            members[name].append(counts)
    if not members['all']:
        raise InputError('there are no phrases to evaluate; is the split empty?')
    columns = {name: tuple(zip(*rows, strict=True)) for name, rows in members.items() if rows}
    return {name: {'count': len(overlaps), **summarise_iou(overlaps, all_unions, thresholds)}
            for name, (overlaps, all_unions) in columns.items()}
