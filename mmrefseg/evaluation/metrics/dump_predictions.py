"""Writing predictions to a file."""
from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric

from mmrefseg.errors import InputError
from mmrefseg.registry import METRICS
from mmrefseg.structures.mask_formats import mask_to_rle
from mmrefseg.structures.overlap_estimate import expected_overlap
from mmrefseg.utils.files import check_writable, write_atomically

from ..functional import logits_on, pixel_counts, truth_mask
from ..predictions.matching import file_name_of
from ..protocols import Protocol, ProtocolSetting, resolve_protocols
from .expression_metric import answer_under, check_sizes

_ORIGIN = ('image_id', 'ref_id', 'sent_id', 'task_id', 'text', 'kind')
_PROBABILITY_SIDE = 96


@METRICS.register_module()
class DumpPredictions(BaseMetric):
    """Writes every prediction into one JSON file; gives no figures.

    The file holds a list with one object per expression, by their ``sample_idx``, in the order of the data set:
    ``image_id``, ``ref_id``, ``sent_id``, ``task_id`` and ``kind`` where there are any, ``text``, ``split``,
    ``file_name`` (of the image, below the folder of images), ``protocol`` (the first one's name), ``segmentation``
    (COCO RLE under that protocol: ``size`` [H, W] of its frame, ``counts``), ``intersection`` and ``union`` in pixels;
    ``overlap``, the IoU that the model itself expects, 0 to 1, where it gives logits; with further protocols ``masks``,
    name → an object with the last three; and with ``probabilities`` ``probability``, an 8-bit grey PNG in base64: the
    image's probabilities from 0 to 255, its longer side 96 pixels at most; and with ``routing`` that: router → expert →
    weight, 0 for an expert that wasn't chosen. It appears only when it is complete.

    Args:
        out_file: path of the JSON file; its folder is made if it isn't there.
        protocol: one protocol or several; see :class:`ReferringIoUMetric`. Default ``'cris'``.
        probabilities: whether to write probabilities. Default False.
        routing: whether to write what the routers decided, which the model must tell (``test_cfg=dict(routing=True)``).
            Default False.
        collect_device: see :class:`ReferringIoUMetric`. Default ``'gpu'``.

    Raises:
        FileError: the folder cannot be written; said at once rather than after the evaluation.
        InputError: when samples come, a probability is NaN, or the model tells no routing.
    """

    default_prefix = ''

    def __init__(self, out_file: str, protocol: ProtocolSetting = 'cris', probabilities: bool = False,
                 collect_device: str = 'gpu', routing: bool = False) -> None:
        super().__init__(collect_device=collect_device)
        self.out_file, self.protocols = Path(out_file), resolve_protocols(protocol)
        self.probabilities, self.routing = probabilities, routing
        if is_main_process():
            check_writable(self.out_file.parent)

    @property
    def figures(self) -> list[str]:
        """Names of the figures, of which this metric has none: it writes a file instead."""
        return []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Encode each sample's answer under each protocol."""
        meta = self.dataset_meta or {}
        for sample in data_samples:
            row = {key: sample[key] for key in _ORIGIN if sample.get(key) is not None}
            if 'split' in meta:
                row['split'] = meta['split']
            if 'img_path' in sample:
                row['file_name'] = file_name_of(sample['img_path'], sample.get('image_folder', ''))
            first, *others = ({'protocol': protocol.name, **_masks(sample, protocol)} for protocol in self.protocols)
            row |= first
            if others:
                row['masks'] = {other.pop('protocol'): other for other in others}
            if sample.get('seg_logits') is not None:
                overlap = expected_overlap(sample['seg_logits']['data'][0], self.protocols[0].threshold)
                row['overlap'] = round(overlap, 6)
            if self.probabilities:
                row['probability'] = _probability(sample)
            if self.routing:
                row['routing'] = _routing(sample)
            self.results.append((sample.get('sample_idx'), row))

    def compute_metrics(self, results: list[tuple[int | None, dict]]) -> dict[str, float]:
        """Write the file, in the order of the data set."""
        # Samplers of images, and those of several processes, take samples in another order.
        rows = [row for _, row in sorted(results, key=lambda found: found[0] or 0)]
        write_atomically(json.dumps(rows).encode(), self.out_file)
        return {}


def _masks(sample: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    answer = answer_under(sample, protocol)
    truth = truth_mask(sample['gt_sem_seg']['data'][0].to(answer.device), protocol)
    check_sizes(answer, truth)
    intersection, predicted, target = pixel_counts(answer, truth).tolist()
    return {'segmentation': mask_to_rle(answer.cpu().numpy()), 'intersection': intersection,
            'union': predicted + target - intersection}


def _probability(sample: Mapping[str, Any]) -> str:
    sides = np.array(sample['ori_shape'][:2])
    frame = tuple(np.maximum(1, np.rint(sides * min(1, _PROBABILITY_SIDE / sides.max()))).astype(int).tolist())
    logits = logits_on(frame, sample['seg_logits']['data'][0], sample['warp_matrix'], sample['img_shape'][:2],
                       tuple(sides.tolist()))
    probability = logits.sigmoid()
    if probability.isnan().any():
        raise InputError(f'the model answers NaN to {str(sample.get("text"))[:80]!r} on {sample.get("img_path")}: its '
                         'weights, or the image, hold NaN or infinity')
    picture = (255 * probability).round().byte().cpu().numpy()
    return b64encode(cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()).decode('ascii')


def _routing(sample: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    routing = sample.get('routing')
    if not routing:
        raise InputError('the model tells no routing: it must be a ReferringSegmentor with routers (SERA-Adapter, or '
                         'SERA-Fusion that has experts) and test_cfg=dict(routing=True)')
    return {router: {expert: round(weight, 4) for expert, weight in weights.items()}
            for router, weights in routing.items()}
