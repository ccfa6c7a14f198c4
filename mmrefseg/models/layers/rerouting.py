"""Routers that are made to decide otherwise for a while, to see what their decisions are worth."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from .routing import Router, RoutingInfo

RoutingChange = Callable[[Router, RoutingInfo], RoutingInfo]


@contextmanager
def rerouted(model: nn.Module, change: RoutingChange) -> Iterator[None]:
    """Change what a model's routers decide, until the context is left.

    Args:
        model: with routers in it.
        change: gives another decision in the place of a router's own.
    """
    hooks = [router.register_forward_hook(lambda router, _, routing: change(router, routing))
             for router in model.modules() if isinstance(router, Router)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def frozen_to(weights: Mapping[str, Tensor]) -> RoutingChange:
    """Give every sample the same weights.

    Args:
        weights: router → (E, ), its experts' weights; routers that it doesn't name decide themselves.
    """

    def change(router: Router, routing: RoutingInfo) -> RoutingInfo:
        if router.name not in weights:
            return routing
        same = weights[router.name].to(routing.weights).expand_as(routing.weights)
        return routing._replace(weights=same, chosen=same > 0)

    return change


def without(name: str, expert: str) -> RoutingChange:
    """Take one expert from a router, which then decides among the others.

    Args:
        name: the router, one of several experts.
        expert: the expert.
    """

    def change(router: Router, routing: RoutingInfo) -> RoutingInfo:
        if router.name != name:
            return routing
        logits = routing.logits.clone()
        logits[:, router.experts.index(expert)] = float('-inf')
        weights, chosen = router.weigh(logits, min(router.top_k, len(router.experts) - 1))
        return routing._replace(weights=weights, chosen=chosen)

    return change
