"""Asking a trained model otherwise, to see whether the words matter to it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmrefseg.datasets import ChangedExpressions
from mmrefseg.datasets.changed_expressions import EXPRESSION_CHANGES
from mmrefseg.evaluation.language_probe_results import AS_ASKED, Probed, compare_counts
from mmrefseg.evaluation.protocols import ProtocolSetting
from mmrefseg.registry import DATASETS

from .config_to_runner import run_test
from .kept_counts import KeptCounts


def probe(runner: Runner,
          dataloader: Mapping[str, Any],
          changes: Sequence[str] = tuple(EXPRESSION_CHANGES),
          seed: int = 0,
          protocol: ProtocolSetting = 'cris',
          amp: bool = False) -> dict[str, Probed]:
    """Figures of a runner's model on a split as it is asked, and as it is asked otherwise.

    Args:
        runner: from :func:`~mmrefseg.apis.config_to_runner.start_testing`, or one that has just trained; its config
            needs a ``test_cfg``, and its ``test_loop`` is another one afterwards.
        dataloader: config of the data, such as the config's ``test_dataloader``; nothing of it is changed.
        changes: ways to ask otherwise; see :class:`~mmrefseg.datasets.ChangedExpressions`. Those that have an effect on
            no expression of the split, or can't be made of its files, are left out of the answer. Default all.
        seed: the same seed asks the same. Default 0.
        protocol: the rules to count under. Default ``'cris'``.
        amp: whether the model runs under mixed precision. Default False.

    Returns:
        ``'as it is'`` and names of changes → figures; :func:`~mmrefseg.evaluation.language_probe_results.verdicts`
        says them in words. Empty on all processes but the main one.

    Raises:
        InputError: there is no such change, or the split is empty.
    """
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        dataset = DATASETS.build(dataloader['dataset'])
    asked = {AS_ASKED: dataset, **{change: ChangedExpressions(dataset, change, seed) for change in changes}}
    metrics: dict[str, KeptCounts] = {}
    for name, data in asked.items():
        if name != AS_ASKED and not len(data):
            continue
        runner.logger.info(f'Expressions: {name}')
        run_test(runner, {**dataloader, 'dataset': data}, Evaluator([KeptCounts(protocol=protocol)]), amp)
        metrics[name] = runner.test_loop.evaluator.metrics[0]
    if not is_main_process():
        return {}
    counted = {name: metric.counted for name, metric in metrics.items()}
    return compare_counts(counted.pop(AS_ASKED), counted, metrics[AS_ASKED].protocols[0])
