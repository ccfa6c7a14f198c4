"""IoU of predictions over PhraseCut's phrases and their official subsets."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmrefseg.datasets import PhraseCutDataset
from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import METRICS
from mmrefseg.structures.mask_formats import draw_mask
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import check_writable, read_json, write_json

from ..functional import PhraseCutSubsets, intersection_and_union, summarise_iou, summarise_subsets


class _Phrases(NamedTuple):
    """The phrases of a split, and each one's place by its task id."""

    split: str
    title: str
    referents: Sequence[dict]
    indices: dict[str, int]
    rules: PhraseCutSubsets

    def subsets_of(self, task_id: str, area: int) -> list[str]:
        phrase = self.referents[self.indices[task_id]]
        return self.rules.of(phrase['phrase_structure'], len(phrase['instance_boxes']), phrase['coco_id'] is not None,
                             area, phrase['height'] * phrase['width'])

    def without_prediction(self, task_id: str) -> tuple[int, int, int]:
        """Intersection, union and target's area in pixels of an empty prediction."""
        phrase = self.referents[self.indices[task_id]]
        area = int(draw_mask(phrase['segmentation'], phrase['height'], phrase['width']).sum())
        return 0, area, area


def _read_phrases(data_root: Path, split: str, vocabulary: str | None) -> _Phrases:
    # The images aren't looked at, so their folder may be anywhere.
    dataset = PhraseCutDataset(str(data_root), split, data_prefix={'img_path': '.'}, lazy_init=True)
    title, referents = f'split {split} of {data_root}', dataset.referents()
    indices: dict[str, int] = {}
    for index, referent in enumerate(referents):
        if indices.setdefault(referent['task_id'], index) != index:
            raise InputError(f'{title} has the task_id {referent["task_id"]} twice, so predictions cannot be told '
                             'apart. Remove one of the two.')
    counts_file = data_root / 'name_att_rel_count.json'
    counts = _read_object(counts_file)
    categories, attributes = (_names(counts, key, counts_file) for key in ('cat', 'att'))
    words = _read_object(Path(vocabulary)) if vocabulary else {}
    for name, entries in words.items():
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise InputError(f'{vocabulary}: {name!r} must be a list of words')
    return _Phrases(split, title, referents, indices, PhraseCutSubsets(categories, attributes, words))


def _read_object(path: Path) -> dict:
    if not path.is_file():
        raise MissingInputError(f'{path} is missing; PhraseCutMetric takes the subsets from it')
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f'{path} must hold a JSON object, but holds a {type(content).__name__}')
    return content


def _names(counts: dict, key: str, path: Path) -> list[str]:
    """Names of a list of names and how often each occurs."""
    rows = get_field(counts, key, list, str(path))
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str):
            raise InputError(f'{path}: {key}[{index}] must be a name and how often it occurs')
    return [name for name, _ in rows]


@METRICS.register_module()
class PhraseCutMetric(BaseMetric):
    """mIoU, oIoU and Pr@X in percent over all phrases of a split, and over each of the official subsets.

    The official evaluator (arXiv 2008.01187) calls them mean and cumulative IoU and mask accuracy. A phrase without a
    prediction counts as an empty prediction; the evaluator skips such phrases, and if there are any, its figures stand
    beside ours as ``answered/mIoU`` and so on. Otherwise they are equal. Keeps whole numbers, so the figures don't
    depend on the number of processes or the batch size.

    Reads ``refer_<split>.json``, ``image_data_split.json`` and ``name_att_rel_count.json`` when the first sample comes.

    Args:
        data_root: folder of the data set, in PhraseCut's own files (see :class:`PhraseCutDataset`). Default None: that
            of the data set tested, which knows it unless it was prepared.
        split: its split. Default None: that of the data set tested.
        vocabulary: JSON file with an object: name of a word list → words, for the subsets that the data set's own
            files don't define: ``stuff`` for ``t_stuff`` and ``t_obj``; ``color``, ``shape``, ``material``,
            ``texture``, ``state``, ``adj``, ``noun``, ``loc``, ``count`` and ``bad`` for ``a_color`` and so on;
            ``coco`` to replace COCO's 80 names in ``c_coco``. Lists may be missing. Default None: only ``c_coco``.
        out_dir: folder for ``subsets_<split>.json``, the figures of all subsets, which are then logged as a table,
            too. It holds ``subsets``, ``missing`` (ids of the tasks without a prediction) and, if there are any,
            ``answered_subsets``. Default None.
        thresholds: IoU levels X of Pr@X in percent. Default (50, 60, 70, 80, 90).
        collect_device: see :class:`ReferringIoUMetric`. Default ``'gpu'``.
        prefix: put before the figures' names, with a slash. Default None: bare names.

    Raises:
        FileError: ``out_dir`` cannot be written; said at once rather than after the evaluation.
        MissingInputError: a file is missing.
        InputError: the files don't hold what they should, or a sample is no phrase of the split.
    """

    default_prefix = ''

    def __init__(self,
                 data_root: str | None = None,
                 split: str | None = None,
                 vocabulary: str | None = None,
                 out_dir: str | None = None,
                 thresholds: Sequence[int] = (50, 60, 70, 80, 90),
                 collect_device: str = 'gpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.data_root, self.split, self.vocabulary = data_root, split, vocabulary
        self.out_dir, self.thresholds = out_dir, tuple(thresholds)
        if out_dir and is_main_process():
            check_writable(out_dir)

    @cached_property
    def phrases(self) -> _Phrases:
        """The split's phrases, read when they are first needed: configs are built where no data is, too."""
        meta = self.dataset_meta or {}
        data_root, split = self.data_root or meta.get('data_root'), self.split or meta.get('split')
        if not data_root or not split:
            raise InputError("PhraseCutMetric cannot tell from the data set where PhraseCut's own files are: set "
                             'data_root and split')
        return _read_phrases(Path(data_root), split, self.vocabulary)

    @property
    def figures(self) -> list[str]:
        """Names of the figures, without the prefix and those of answered phrases, which only some tests have."""
        return list(summarise_iou([0], [1], self.thresholds))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count intersection and sizes of each sample's ``pred_sem_seg`` and ``gt_sem_seg`` ((1, H0, W0) each)."""
        for sample in data_samples:
            task_id = sample.get('task_id')
            if task_id not in self.phrases.indices:
                raise InputError(f'the sample of {sample.get("img_path")} has the task_id {task_id}, which '
                                 f'{self.phrases.title} does not have: the metric needs the data_root and split of the '
                                 'data set that is tested, and PackRefSegInputs the meta key task_id')
            truth = sample['gt_sem_seg']['data']
            counts = intersection_and_union(sample['pred_sem_seg']['data'], truth)
            self.results.append((task_id, *counts, int((truth != 0).sum())))

    def compute_metrics(self, results: list[tuple[str, int, int, int]]) -> dict[str, float]:
        """Summarise (task id, intersection, union, target) of all phrases."""
        counts = {task_id: counts for task_id, *counts in results}
        # In the order of the file, so that even the rounding of sums doesn't depend on the number of processes.
        everything = {task_id: counts.get(task_id) or self.phrases.without_prediction(task_id)
                      for task_id in self.phrases.indices}
        measured = {task_id: everything[task_id] for task_id in everything if task_id in counts}
        missing = [task_id for task_id in everything if task_id not in counts]
        subsets = self._summarise(everything)
        figures: dict[str, Any] = {'subsets': subsets, 'missing': missing}
        reported = _without_count(subsets['all'])
        if missing and measured:
            figures['answered_subsets'] = self._summarise(measured)
            answered = _without_count(figures['answered_subsets']['all'])
            reported |= {f'answered/{name}': value for name, value in answered.items()}
            print_log(f'{len(missing)} of {len(everything)} phrases have no prediction, which counts as an empty one; '
                      'figures of the others alone begin with answered/', 'current')
        if self.out_dir:
            path = Path(self.out_dir, f'subsets_{self.phrases.split}.json')
            write_json(figures, path)
            print_log(f'Figures of the subsets, also in {path}:\n{_table(subsets)}', 'current')
        return reported

    def _summarise(self, measured: Mapping[str, Sequence[int]]) -> dict[str, dict[str, float]]:
        intersections, unions, areas = zip(*measured.values(), strict=True)
        names = map(self.phrases.subsets_of, measured, areas)
        return summarise_subsets(list(names), intersections, unions, self.thresholds)


def _without_count(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if name != 'count'}


def _table(subsets: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(subsets['all'])
    lines = [f'{"subset":10}' + ''.join(f'{name:>8}' for name in columns)]
    for subset, (count, *others) in ((subset, figures.values()) for subset, figures in subsets.items()):
        lines.append(f'{subset:10}{count:8}' + ''.join(f'{value:8.2f}' for value in others))
    return '\n'.join(lines)
