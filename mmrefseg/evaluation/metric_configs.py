"""From a config to its metrics and their protocols."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isclass
from typing import Any

from mmengine.config import Config

from mmrefseg.errors import InputError
from mmrefseg.registry import METRICS

from .metrics import PhraseCutMetric, ReferringIoUMetric
from .metrics.expression_metric import ExpressionMetric
from .protocols import PROTOCOLS, Protocol, ProtocolSetting, resolve_protocols


def evaluators(config: Config, protocol: ProtocolSetting | None = None) -> list[dict[str, Any]]:
    """Configs of the metrics that a config tests with.

    Args:
        config: a config with a ``test_evaluator``, or ``ReferringIoUMetric`` is taken.
        protocol: protocols for those metrics that count under one. Default None: those of the config.

    Raises:
        InputError: protocols are given, but none of the metrics counts under one.
    """
    found = config.get('test_evaluator') or dict(type='mmrefseg.ReferringIoUMetric')
    found = [dict(metric) for metric in (found if isinstance(found, Sequence) else [found])]
    if protocol is None:
        return found
    if not any(map(_counts_expressions, found)):
        raise InputError(f'--protocol is given, but {", ".join(str(metric["type"]) for metric in found)} of the config '
                         'counts in its own way; ReferringIoUMetric and GRESMetric count under protocols')
    return [{**metric, 'protocol': protocol} if _counts_expressions(metric) else metric for metric in found]


def protocols_of(metrics: Sequence[Mapping[str, Any]]) -> tuple[Protocol, ...]:
    """The protocols of metrics, in their order; that of CRIS for metrics that count in their own way.

    Args:
        metrics: configs of the metrics.
    """
    found = {protocol.name: protocol for metric in metrics if _counts_expressions(metric)
             for protocol in resolve_protocols(metric.get('protocol', 'cris'))}
    return tuple(found.values()) or (PROTOCOLS['cris'], )


def counting_metrics(metrics: Sequence[Mapping[str, Any]]) -> list[ExpressionMetric]:
    """The metrics that sum up what was counted per expression.

    PhraseCut's figures of all phrases are those of ``ReferringIoUMetric``, which stands for it here.

    Args:
        metrics: configs of the metrics; others are left out.
    """
    built = [METRICS.build(dict(metric)) for metric in metrics
             if _counts_expressions(metric) or _class_of(metric) is PhraseCutMetric]
    counting = [ReferringIoUMetric(metric.thresholds) if isinstance(metric, PhraseCutMetric) else metric
                for metric in built]
    return counting or [ReferringIoUMetric()]


def _class_of(metric: Mapping[str, Any]) -> Any:
    return METRICS.get(metric['type']) if isinstance(metric['type'], str) else metric['type']


def _counts_expressions(metric: Mapping[str, Any]) -> bool:
    kind = _class_of(metric)
    return isclass(kind) and issubclass(kind, ExpressionMetric)
