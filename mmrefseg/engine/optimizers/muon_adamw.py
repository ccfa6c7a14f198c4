"""Muon for weight matrices, AdamW for all other parameters."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.registry import OPTIMIZERS
from mmrefseg.utils.type_hints import Range, Share

_QUINTIC = (3.4445, -4.7750, 2.0315)
_STEPS = 5
_MIN_WIDTH = 4
_MAX_ASPECT_RATIO = 128
_ADAMW_RMS = 0.2


def is_weight_matrix(parameter: Tensor) -> bool:
    """Whether Muon updates a parameter: one of at least two dimensions that maps many channels onto many.

    Biases, norms, tokens, position embeddings of timm, depthwise convolutions and tables of word embeddings, whose rows
    don't add up to outputs, are left to AdamW.

    Args:
        parameter: of any shape.
    """
    if parameter.ndim < 2 or 1 in parameter.shape[:2]:
        return False
    rows, columns = parameter.shape[0], parameter[0].numel()
    return min(rows, columns) >= _MIN_WIDTH and max(rows, columns) <= _MAX_ASPECT_RATIO * min(rows, columns)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Bring all singular values of matrices to about 1 (0.7 to 1.2) by Newton-Schulz iterations.

    In float32: many CPUs only imitate bfloat16, in which this is usually computed, and then take 15 times as long.

    Args:
        matrices: float32 (N, rows, columns).

    Returns:
        Of the same shape.
    """
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    wide = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=1e-7)
    a, b, c = _QUINTIC
    for _ in range(_STEPS):
        gram = wide @ wide.mT
        wide = a * wide + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ wide
    return wide if matrices.shape[1] <= matrices.shape[2] else wide.mT


@OPTIMIZERS.register_module()
class MuonAdamW(torch.optim.AdamW):
    """Muon (arXiv 2502.16982) for weight matrices, AdamW (arXiv 1711.05101) for all other parameters.

    A matrix, or a convolution's kernels as one, moves by its orthogonalised momentum: all directions are learnt at one
    rate, also those in which gradients are small. The step has the size that AdamW's usually has, so that one learning
    rate and one weight decay serve both.

    Args:
        params: parameters or groups of them, as for all optimizers of PyTorch.
        lr: learning rate. Default 1e-3.
        momentum: of matrices, with Nesterov's look ahead. Default 0.95.
        settings: further ones of PyTorch's AdamW: ``betas`` and ``eps`` for the other parameters, ``weight_decay`` for
            all, ``fused``.

    Raises:
        InputError: ``momentum`` is 1.
    """

    takes_any_setting = True  # AdamW's

    def __init__(self, params: Any, lr: Annotated[float, Range(0)] = 1e-3, momentum: Share = 0.95,
                 **settings: Any) -> None:
        if momentum == 1:
            raise InputError('momentum of MuonAdamW is 1; it must be below 1, or no gradient would count')
        super().__init__(params, lr, **settings)
        for group in self.param_groups:
            group.setdefault('momentum', momentum)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update all parameters that have a gradient.

        Args:
            closure: computes the loss anew. Default None.

        Returns:
            The closure's loss, if there is one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices = [(parameter, group) for group in self.param_groups for parameter in group['params']
                    if parameter.grad is not None and is_weight_matrix(parameter)]
        gradients = [parameter.grad for parameter, _ in matrices]
        self._step_matrices(matrices)
        for parameter, _ in matrices:
            parameter.grad = None  # AdamW passes them over
        super().step()
        for (parameter, _), gradient in zip(matrices, gradients, strict=True):
            parameter.grad = gradient
        return loss

    def _step_matrices(self, matrices: list[tuple[Tensor, dict[str, Any]]]) -> None:
        """Move matrices, those of one shape together."""
        by_shape = defaultdict(list)
        for parameter, group in matrices:
            by_shape[parameter.device, parameter.shape[0], parameter[0].numel()].append((parameter, group))
        for (_, rows, columns), alike in by_shape.items():
            directions = torch.stack([self._momentum(parameter, group['momentum']).reshape(rows, columns)
                                      for parameter, group in alike])
            size = _ADAMW_RMS * max(rows, columns)**0.5
            for (parameter, group), direction in zip(alike, orthogonalise(directions), strict=True):
                parameter.mul_(1 - group['lr'] * group['weight_decay'])
                parameter.add_(direction.reshape(parameter.shape), alpha=-group['lr'] * size)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """The average of a parameter's gradients, updated, with Nesterov's look ahead; float32."""
        state, gradient = self.state[parameter], parameter.grad.float()
        if not state:
            # Without a step, Adam reads no saved state.
            state.update(step=torch.zeros(()), momentum_buffer=torch.zeros_like(gradient))
        average = state['momentum_buffer']
        average.lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)
