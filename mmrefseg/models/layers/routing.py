"""Routers and the mixture of experts that they steer."""
from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmrefseg.errors import InputError

from .setting_checks import check_setting, is_whole


class RoutingInfo(NamedTuple):
    """What one router decided for one batch.

    Args:
        name: the router's name, unique in a :class:`ReferringSegmentor`, such as ``fusion.0``.
        experts: the experts' names, in the order of the columns below.
        logits: float32 (B, E), what the softmax sees but for the training noise.
        weights: float32 (B, E), sum to 1 in each row; exactly 0 for experts that were not chosen.
        chosen: bool (B, E), True for the experts that take part.
    """

    name: str
    experts: tuple[str, ...]
    logits: Tensor
    weights: Tensor
    chosen: Tensor

    def first_choice(self) -> Tensor:
        """float32 (B, E), one-hot: the expert with the largest logit of each sample."""
        return nn.functional.one_hot(self.logits.argmax(dim=1), len(self.experts)).float()

    def entropy(self) -> Tensor:
        """float32 scalar, without a gradient: the mean of the samples' entropies, as a share of that of equal weights.

        From 0, where each sample has one expert, to 1; of a router with a single expert it is 0 over 0.
        """
        weights = self.weights.detach()
        return torch.special.entr(weights).sum(1).mean() / math.log(len(self.experts))

    def statistics(self) -> Tensor:
        """float32 (3, E), without a gradient: each expert's mean weight, the share of samples that chose it, and the
        share that weighted it most."""
        most = nn.functional.one_hot(self.weights.argmax(dim=1), len(self.experts))
        return torch.stack((self.weights.detach().mean(0), self.chosen.float().mean(0), most.float().mean(0)))


class StepLog(OrderedDict):
    """What a training step leaves for the log: the losses by name, and beside them what the routers decided.

    Args:
        losses: loss name → value, all that mmengine logs of itself.
        routing: router → expert → (3, ): its mean weight, the share of samples that chose it, and the share that
            weighted it most.
    """

    def __init__(self, losses: Mapping[str, Tensor], routing: dict[str, dict[str, Tensor]]) -> None:
        super().__init__(losses)
        self.routing = routing


def choose_experts(setting: str, names: Sequence[str],
                   available: Mapping[str, Callable[[], nn.Module]]) -> dict[str, nn.Module]:
    """Build the experts that a setting names.

    Args:
        setting: what messages call the setting, such as ``experts of SERAFusion``.
        names: the experts' names, in the order that they shall have.
        available: name → what builds the expert.

    Returns:
        Name → expert.

    Raises:
        InputError: a name is unknown or occurs twice.
    """
    if len(set(names) & available.keys()) < len(names):
        raise InputError(f'{setting} is {names!r}; it must be a list of some of {", ".join(map(repr, available))}, '
                         'each at most once')
    return {name: available[name]() for name in names}


class Router(nn.Module):
    """Scores experts from the global average of a map; softmax over the ``top_k`` best.

    The averages of two maps differ little beside what they have in common, so that fresh scores are within a tenth or
    two of each other, and the weights all but equal. A low ``temperature`` lets the first choices differ.

    Args:
        channels: channels of the map.
        experts: names of the experts.
        name: the router's name in logs and losses; the segmentor gives another where several have it.
        hidden_channels: width of a hidden layer (ReLU); None scores with one linear layer. Default None.
        top_k: experts chosen per sample; None chooses all of them (soft routing). Default None.
        noise_std: standard deviation of the Gaussian noise on the logits in training. Default 0.
        temperature: the scores are divided by it, which gives the logits. Default 1.
        balancing_rate: how fast a bias of each expert, which joins its logits, follows the load in training: per step
            it falls by this much for each time that the expert has its fair share of the batch's weight too much, and
            rises where it has too little (arXiv 2408.15664). No gradient is involved, so that experts are used alike
            without weighing alike for each sample. Default 0: there is no bias.
        sentence_channels: width of a sentence feature, whose scores by a linear layer join those of the map. Default
            None: the router sees the map alone.

    Raises:
        InputError: there is no expert, ``top_k`` is not a whole number between 1 and the number of experts,
            ``noise_std`` or ``balancing_rate`` is negative, or ``temperature`` is not above 0.
    """

    bias: Tensor | None

    def __init__(self,
                 channels: int,
                 experts: tuple[str, ...],
                 name: str,
                 hidden_channels: int | None = None,
                 top_k: int | None = None,
                 noise_std: float = 0.0,
                 temperature: float = 1.0,
                 balancing_rate: float = 0.0,
                 sentence_channels: int | None = None) -> None:
        super().__init__()
        self.name, self.experts, self.noise_std = name, tuple(experts), noise_std
        self.temperature, self.balancing_rate = temperature, balancing_rate
        if not self.experts:
            raise InputError(f'router {name!r} has no experts to choose from; name at least one')
        for setting, value in (('noise_std', noise_std), ('balancing_rate', balancing_rate)):
            check_setting(f'{setting} of router {name!r}', value,
                          isinstance(value, int | float) and 0 <= value < float('inf'), 'a number, 0 or larger')
        check_setting(f'temperature of router {name!r}', temperature,
                      isinstance(temperature, int | float) and 0 < temperature < float('inf'), 'a number above 0')
        self.top_k = len(self.experts) if top_k is None else top_k
        check_setting(f'top_k of router {name!r}', top_k, is_whole(self.top_k, 1) and self.top_k <= len(self.experts),
                      f'a whole number between 1 and the number of its experts, {len(self.experts)} '
                      f'({", ".join(self.experts)}), or None for all of them')
        if hidden_channels is None:
            self.score = nn.Linear(channels, len(self.experts))
        else:
            self.score = nn.Sequential(
                nn.Linear(channels, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, len(self.experts)))

        self.score_sentence = None
        if sentence_channels is not None:
            self.score_sentence = nn.Linear(sentence_channels, len(self.experts), bias=False)
        self.register_buffer('bias', torch.zeros(len(self.experts)) if balancing_rate else None)

    @property
    def is_sparse(self) -> bool:
        """Whether some experts are left out."""
        return self.top_k < len(self.experts)

    def forward(self, grid: Tensor, sentence: Tensor | None = None) -> RoutingInfo:
        """Choose and weigh the experts of each sample.

        Args:
            grid: (B, C, H, W).
            sentence: (B, D), for a router that sees it. Default None: the map alone decides.
        """
        with torch.autocast(grid.device.type, enabled=False):
            scores = self.score(grid.float().mean(dim=(2, 3)))
            if self.score_sentence is not None and sentence is not None:
                scores = scores + self.score_sentence(sentence.float())
            logits = scores / self.temperature
        if self.bias is not None:
            logits = logits + self.bias
        noisy = logits
        if self.training and self.noise_std > 0:
            noisy = logits + self.noise_std * torch.randn_like(logits)
        weights, chosen = self.weigh(noisy, self.top_k)
        if self.bias is not None and self.training:
            self._balance(weights.detach())
        return RoutingInfo(self.name, self.experts, logits, weights, chosen)

    @torch.no_grad()
    def _balance(self, weights: Tensor) -> None:
        excess = len(self.experts) * weights.mean(0) - 1
        self.bias -= self.balancing_rate * excess

    @staticmethod
    def weigh(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Softmax over the best logits of each sample.

        Args:
            logits: (B, E).
            top_k: how many, up to E.

        Returns:
            Weights (B, E), 0 for the others, and which ones were chosen, bool (B, E).
        """
        chosen = torch.ones_like(logits, dtype=torch.bool)
        if top_k < logits.shape[1]:
            chosen = torch.zeros_like(chosen).scatter(1, logits.topk(top_k, dim=1).indices, True)
        return logits.masked_fill(~chosen, float('-inf')).softmax(dim=1), chosen


class ExpertMixture(nn.Module):
    """Weighted sum of the experts that a router chooses for each sample.

    With a sparse router an expert sees only the samples that chose it; the host waits for the device once to learn how
    many these are. In compiled and exported graphs, which hold no sizes that depend on data, each sees all, and what
    was not chosen weighs exactly 0. An expert without samples still joins the graph with zero times its parameters: DDP
    waits for a gradient of every parameter. An expert that takes batch statistics sees all samples while it does,
    because a varying subset would change what it normalises by.

    Args:
        experts: name → module that maps (B, C, H, W) to the same shape.
        router: decides from the same map; its experts' names are the keys of ``experts``.
    """

    def __init__(self, experts: Mapping[str, nn.Module], router: Router) -> None:
        super().__init__()
        self.experts = nn.ModuleDict(experts)
        self.router = router

    def forward(self, grid: Tensor, sentence: Tensor | None = None) -> tuple[Tensor, RoutingInfo]:
        """Mix the experts' outputs by the router's weights.

        Args:
            grid: (B, C, H, W).
            sentence: (B, D), for a router that sees it. Default None.

        Returns:
            The mixture (B, C, H, W), and what the router decided.
        """
        routing = self.router(grid, sentence)
        # A graph cannot leave experts out; those that weren't chosen weigh exactly 0 in it.
        mix = self._mix_chosen if self.router.is_sparse and not torch.compiler.is_compiling() else self._mix_all
        return mix(grid, routing), routing

    def _mix_all(self, grid: Tensor, routing: RoutingInfo) -> Tensor:
        weights = routing.weights.to(grid.dtype)[:, :, None, None, None]
        return sum(weights[:, i] * expert(grid) for i, expert in enumerate(self.experts.values()))

    def _mix_chosen(self, grid: Tensor, routing: RoutingInfo) -> Tensor:
        weights = routing.weights.to(grid.dtype)[:, :, None, None, None]
        mixed = torch.zeros_like(grid)
        for i, (expert, rows) in enumerate(zip(self.experts.values(), _rows(routing.chosen), strict=True)):
            if _takes_batch_statistics(expert):
                mixed = mixed + weights[:, i] * expert(grid)
            elif len(rows):
                mixed = mixed.index_add(0, rows, (weights[rows, i] * expert(grid[rows])).to(mixed.dtype))
            else:
                mixed = mixed + sum(0 * parameter.sum() for parameter in expert.parameters())
        return mixed


def _rows(chosen: Tensor) -> tuple[Tensor, ...]:
    """The samples of each expert; their numbers are all that the host waits for."""
    sizes = chosen.sum(0).tolist()
    order = chosen.T.flatten().logical_not().byte().argsort(stable=True)[:sum(sizes)]
    return (order % len(chosen)).split(sizes)


def _takes_batch_statistics(expert: nn.Module) -> bool:
    return any(isinstance(module, _BatchNorm) and module.training for module in expert.modules())
