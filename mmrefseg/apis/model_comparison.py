"""Two models on the same data, which are read by the same dataloader."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmrefseg.evaluation.language_probe_results import Probed, compare_counts

from .config_to_model import read_config
from .config_to_runner import start_testing


def start_other(cfg: Config, config: str | Path | Config, checkpoint: str) -> Runner:
    """Build a runner that tests another model on a config's data; its log goes to the folder ``against``.

    Args:
        cfg: from :func:`~.config_to_runner.load_config`; is not changed.
        config: of the other model; its data are not looked at.
        checkpoint: the other model's weights.

    Raises:
        MissingInputError: there is no such config or checkpoint.
        InputError: the weights are of another architecture, or the file is damaged or unsafe.
    """
    other = read_config(config)
    for part in ('test_dataloader', 'test_evaluator', 'test_cfg', 'launcher', 'model_wrapper_cfg'):
        if part in cfg:
            other[part] = cfg[part]
    other.pop('visualizer', None)  # there is one of its name
    other.work_dir, other.experiment_name = str(Path(cfg.work_dir, 'against')), 'against'
    return start_testing(other, checkpoint)


def compare_runners(runner: Runner, other: Runner) -> dict[str, Any]:
    """Figures of both on the split that both tested last, with :class:`~.kept_counts.KeptCounts` as their last metric.

    Args:
        runner: of the model.
        other: of the one that it is compared with.

    Returns:
        ``expressions``, ``images``, and name of the figure → estimate as ``figures`` and ``against``, and the
        difference of the two, paired by expression, as ``differences``.
    """
    own, others = (each.test_loop.evaluator.metrics[-1] for each in (runner, other))
    compared: Probed = compare_counts(others.counted, {'own': own.counted}, own.protocols[0])['own']
    return {'expressions': compared.expressions, 'images': compared.images, 'figures': compared.figures,
            'against': compared.own, 'differences': compared.differences}
