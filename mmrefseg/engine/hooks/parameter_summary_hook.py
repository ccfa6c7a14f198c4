"""How many parameters a model has and how many of them train."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmrefseg.registry import HOOKS


def count_parameters(part: nn.Module) -> tuple[int, int, int]:
    """Parameters of a part: pretrained, those of them that train, and new ones.

    Pretrained are those of an encoder that says which of its modules are new (``new_parts()``); all others are new.
    """
    total = sum(p.numel() for p in part.parameters())
    if not hasattr(part, 'new_parts'):
        return 0, 0, total
    new = {id(p) for module in part.new_parts() for p in module.parameters()}
    pretrained = [p for p in part.parameters() if id(p) not in new]
    count = sum(p.numel() for p in pretrained)
    return count, sum(p.numel() for p in pretrained if p.requires_grad), total - count


@HOOKS.register_module()
class ParameterSummaryHook(Hook):
    """Writes into the log, before training, each part's parameters and the share of pretrained ones that train.

    Adapters and experts count as new parameters, apart from the pretrained ones.
    """

    def before_train(self, runner: Runner) -> None:
        """Count and log."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        counts = {name: count_parameters(part) for name, part in model.named_children()}
        counts['in total'] = tuple(map(sum, zip(*counts.values(), strict=True)))
        lines = [f'  {name:<14} {pretrained / 1e6:9.3f} M {trained / max(pretrained, 1):8.2%} {new / 1e6:9.3f} M'
                 for name, (pretrained, trained, new) in counts.items() if pretrained or new]
        header = f'  {"part":<14} {"pretrained":>11} {"of it trains":>8} {"new":>7}'
        runner.logger.info('\n'.join(('Parameters:', header, *lines)))
