"""What the metrics of referring expressions share: counting under one or several protocols."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mmrefseg.errors import InputError

from ..expression_counts import ExpressionCounts, extend_ratios, unions_of
from ..functional import Ratio, iou_ratios, percentages, pixel_counts, predicted_mask, truth_mask
from ..functional.boundary import boundary_counts
from ..functional.expression_groups import Grouping
from ..protocols import PROTOCOLS, Protocol, ProtocolSetting, resolve_protocols

_ORIGIN = ('image_id', 'ref_id', 'sent_id')


class ExpressionMetric(BaseMetric):
    """Counts pixels of each expression, and sums them up in :meth:`own_ratios` of a sub-class.

    Keeps whole numbers per expression, counted on the device of the prediction; sums don't depend on the order of
    expressions. So figures are the same to the last digit for any number of processes and any batch size.

    Args:
        protocol: one protocol or several; see :func:`~mmrefseg.evaluation.protocols.resolve_protocol`. Figures of the
            first keep their bare names, those of the others begin with the protocol's, as in ``lavt/mIoU``.
        by: groups of expressions whose figures are given, too: ``'kind'``, ``'size'``, ``'length'``.
        boundary: whether to give boundary IoU, too, as ``bIoU``.
        collect_device: ``'gpu'`` or ``'cpu'``; see :class:`ReferringIoUMetric`.
        prefix: put before the figures' names, with a slash; None for bare names.

    Attributes:
        protocols: the protocols.
    """

    # Empty rather than None: figures keep their bare names, and mmengine doesn't warn about it.
    default_prefix = ''

    def __init__(self, protocol: ProtocolSetting, by: Sequence[Grouping], boundary: bool, collect_device: str,
                 prefix: str | None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.protocols, self.by, self.boundary = resolve_protocols(protocol), tuple(by), boundary

    @abstractmethod
    def own_ratios(self, counts: np.ndarray, protocol: Protocol) -> dict[str, Ratio]:
        """The figures of the metric itself, as ratios of sums over expressions.

        Args:
            counts: (N, 3), pixels that prediction and truth share, of the prediction, and of the truth.
            protocol: the rules.
        """

    def ratios(self, counted: ExpressionCounts, protocol: Protocol) -> dict[str, Ratio]:
        """All figures under one protocol before they are summed, those of boundaries and groups included.

        Args:
            counted: what was counted.
            protocol: the rules.
        """
        own = self.own_ratios(counted.counts, protocol)
        if counted.boundary_counts is not None:
            own = {**own, 'bIoU': self.boundary_ratio(counted, protocol)}
        return extend_ratios(own, counted, protocol, self.by)

    def boundary_ratio(self, counted: ExpressionCounts, protocol: Protocol) -> Ratio:
        """Mean boundary IoU before it is summed.

        Args:
            counted: what was counted, boundaries included.
            protocol: its rule for an empty union.
        """
        counts = np.asarray(counted.boundary_counts)
        return iou_ratios(counts[:, 0], unions_of(counts), (), protocol.empty_union)['mIoU']

    @property
    def figures(self) -> list[str]:
        """Names of the figures, without the prefix; those that no expression of a split bears on are left out."""
        # One expression with a target, and one without.
        counts = np.array([[0, 0, 1], [0, 0, 0]])
        own = [*self.own_ratios(counts, self.protocols[0]), *(['bIoU'] if self.boundary else ())]
        return [self.name_of(figure, protocol) for protocol in self.protocols for figure in own]

    def name_of(self, figure: str, protocol: Protocol) -> str:
        """What a figure is called under one of the protocols.

        Args:
            figure: its bare name.
            protocol: one of ``protocols``.
        """
        return figure if protocol == self.protocols[0] else f'{protocol.name}/{figure}'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each sample's answer and ``gt_sem_seg`` ((1, H0, W0), original size)."""
        counts = torch.stack([self._counts(sample) for sample in data_samples]).tolist()
        for sample, row in zip(data_samples, counts, strict=True):
            origin = [sample.get(key) for key in _ORIGIN]
            origin[0] = sample.get('img_path') if origin[0] is None else origin[0]
            self.results.append((*origin, sample.get('kind') or '', len(sample.get('text', '').split()), *row))

    def _counts(self, sample: Mapping[str, Any]) -> Tensor:
        """Pixels of the target on the image, and those of each protocol in turn, int64."""
        answers = [answer_under(sample, protocol) for protocol in self.protocols]
        truth = sample['gt_sem_seg']['data'][0].to(answers[0].device) != 0
        counts = [torch.count_nonzero(truth)[None]]
        for protocol, answer in zip(self.protocols, answers, strict=True):
            target = truth_mask(truth, protocol)
            check_sizes(answer, target)
            counts.append(pixel_counts(answer, target))
            if self.boundary:
                counts.append(boundary_counts(answer, target))
        return torch.cat(counts)

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Sum up the rows of all expressions."""
        figures: dict[str, float] = {}
        for protocol in self.protocols:
            print_log(f'Protocol {protocol}', 'current')
            found = percentages(self.ratios(self._counted(results, protocol), protocol))
            figures |= {self.name_of(name, protocol): value for name, value in found.items()}
        return figures

    def _counted(self, results: list[tuple], protocol: Protocol) -> ExpressionCounts:
        if not results:
            raise InputError('there are no expressions to evaluate; is the split empty, or did the metric see no '
                             'samples?')
        images, refs, sents, kinds, lengths, areas, *counts = zip(*results, strict=True)
        counts = np.array(counts, np.int64).T.reshape(len(results), len(self.protocols), -1)
        counts = counts[:, self.protocols.index(protocol)]
        return ExpressionCounts(images, refs, sents, kinds, np.array(lengths), np.array(areas), counts[:, :3],
                                counts[:, 3:] if self.boundary else None)


def answer_under(sample: Mapping[str, Any], protocol: Protocol) -> Tensor:
    """The mask that a protocol makes of a model's answer: boolean, on the answer's device, in the protocol's frame.

    ``pred_sem_seg`` is the answer where the model made it as the protocol does: CRIS's way, at its threshold, which
    ``threshold`` of the sample says (0.35 if not given). Otherwise ``seg_logits`` are mapped through ``warp_matrix``.

    Args:
        sample: a sample with predictions, as a dict.
        protocol: the rules.

    Raises:
        InputError: the sample lacks what is needed.
    """
    cris = PROTOCOLS['cris']
    if protocol.mask_rules == (cris.resolution, cris.interpolation, sample.get('threshold', cris.threshold)):
        return sample['pred_sem_seg']['data'][0] != 0
    needed = ('seg_logits', 'warp_matrix', 'img_shape', 'ori_shape')
    if missing := [key for key in needed if sample.get(key) is None]:
        raise InputError(f'the protocol {protocol.name!r} needs {", ".join(needed)} of every sample, and '
                         f'{", ".join(missing)} is missing: the model must answer as ReferringSegmentor does, and the '
                         'test pipeline hold Letterbox or Stretch')
    logits = sample['seg_logits']['data'][0]
    mask = predicted_mask(logits, protocol, sample['warp_matrix'], sample['img_shape'][:2], sample['ori_shape'][:2])
    return mask.to(logits.device)


def check_sizes(answer: Tensor, truth: Tensor) -> None:
    """Refuse masks of different sizes.

    Args:
        answer: (H, W), predicted.
        truth: (H, W), ground truth in the same frame.

    Raises:
        InputError: they differ.
    """
    if answer.shape != truth.shape:
        raise InputError(f'the prediction is {tuple(answer.shape)} and the ground truth {tuple(truth.shape)} pixels '
                         'large; both must have the size of the original image')
