"""Auxiliary losses that keep routers of experts healthy. Statistics are those of the local batch."""
from abc import ABC, abstractmethod

from torch import Tensor, nn

from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Finite

from ..layers import RoutingInfo


class RouterLoss(nn.Module, ABC):
    """A loss on one router's decisions.

    Args:
        loss_weight: weight of the loss.
    """

    loss_name: str

    def __init__(self, loss_weight: Finite) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, routing: RoutingInfo) -> Tensor:
        """Weighted scalar loss in float32.

        Args:
            routing: what a router decided about a batch.
        """
        return self.loss_weight * self.value(routing)

    @abstractmethod
    def value(self, routing: RoutingInfo) -> Tensor:
        """The unweighted loss of one router, a scalar.

        Args:
            routing: what a router decided about a batch.
        """


@MODELS.register_module()
class RouterZLoss(RouterLoss):
    """Mean of the squared logits: keeps them small.

    This is SERA's formula (arXiv 2603.12538). The z-loss of ST-MoE (arXiv 2202.08906) is another: the mean over the
    samples of logsumexp(logits)².

    Args:
        loss_weight: weight of the loss.
    """

    loss_name = 'loss_router_z'

    def value(self, routing: RoutingInfo) -> Tensor:
        """Scalar from the logits (B, E)."""
        return routing.logits.square().mean()


@MODELS.register_module()
class LoadBalanceLoss(RouterLoss):
    """Squared coefficient of variation of the experts' summed weights (arXiv 1701.06538).

    Args:
        loss_weight: weight of the loss.
    """

    loss_name = 'loss_router_balance'

    def value(self, routing: RoutingInfo) -> Tensor:
        """Scalar from the weights (B, E)."""
        load = routing.weights.sum(dim=0)
        return load.var(correction=0) / load.mean().square()


@MODELS.register_module()
class AssignmentLoss(RouterLoss):
    """E · Σ_e f_e · p̄_e (arXiv 2101.03961): 1 where every expert is the first choice equally often.

    f_e is the share of samples whose first choice is expert e, without a gradient; p̄_e the mean over the batch of the
    softmax over all experts, so that the loss also means something for routers that choose them all.

    Args:
        loss_weight: weight of the loss.
    """

    loss_name = 'loss_router_assignment'

    def value(self, routing: RoutingInfo) -> Tensor:
        """Scalar from the logits (B, E)."""
        share = routing.first_choice().mean(dim=0)
        probability = routing.logits.softmax(dim=1).mean(dim=0)
        return len(routing.experts) * (share * probability).sum()
