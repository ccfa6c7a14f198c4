"""Writing predictions to a file."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric

from mmrefseg.registry import METRICS
from mmrefseg.structures.masks import mask_to_rle
from mmrefseg.utils.files import check_writable, write_atomically

from ..functional import intersection_and_union


@METRICS.register_module()
class DumpPredictions(BaseMetric):
    """Writes every prediction into one JSON file; gives no figures.

    The file holds a list with one dict an expression, in the order of the dataset: ``image_id``, ``ref_id``,
    ``sent_id``, ``text``, ``segmentation`` (COCO RLE: ``size`` [H0, W0], ``counts``), ``intersection`` and ``union``
    in pixels. It appears only when it is complete.

    Args:
        out_file: path of the JSON file; its folder is made if it isn't there.
        collect_device: see :class:`ReferringIoUMetric`. Default ``'gpu'``.

    Raises:
        FileError: the folder cannot be written; said at once rather than after the evaluation.
    """

    default_prefix = ''

    def __init__(self, out_file: str, collect_device: str = 'gpu') -> None:
        super().__init__(collect_device=collect_device)
        self.out_file = Path(out_file)
        if is_main_process():
            check_writable(self.out_file.parent)

    @property
    def figures(self) -> list[str]:
        """There are none."""
        return []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Encode each sample's ``pred_sem_seg`` ((1, H0, W0))."""
        for sample in data_samples:
            pred = sample['pred_sem_seg']['data']
            intersection, union = intersection_and_union(pred, sample['gt_sem_seg']['data'])
            origin = {key: sample[key] for key in ('image_id', 'ref_id', 'sent_id', 'text')}
            outline = mask_to_rle(pred[0].cpu().numpy())
            self.results.append({**origin, 'segmentation': outline, 'intersection': intersection, 'union': union})

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Write the file."""
        write_atomically(json.dumps(results).encode(), self.out_file)
        return {}
