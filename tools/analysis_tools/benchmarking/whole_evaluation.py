"""How long a whole evaluation takes: reading, prediction and figures."""
from __future__ import annotations

import time

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmrefseg.apis.config_to_runner import mixed_precision_dtype
from mmrefseg.models import ReferringSegmentor


@torch.no_grad()
def measure_evaluation(model: ReferringSegmentor, config: Config, amp: bool) -> dict[str, float]:
    """One pass over a config's test data: seconds, from the start of the workers to the figures, and expressions."""
    device = next(model.parameters()).device
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmrefseg')):
        loader, evaluator = Runner.build_dataloader(config.test_dataloader), Evaluator(config.test_evaluator)
    evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
    number, start = len(loader.dataset), time.perf_counter()
    for batch in loader:
        with torch.autocast(device.type, mixed_precision_dtype(), enabled=amp):
            evaluator.process(data_samples=model.test_step(batch), data_batch=batch)
    evaluator.evaluate(number)
    seconds = time.perf_counter() - start
    return {'seconds': seconds, 'expressions': number, 'expressions_per_second': number / seconds}
