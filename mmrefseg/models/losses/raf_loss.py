"""SegVLM's loss."""
from __future__ import annotations

from math import isfinite

import torch.nn.functional as F
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.utils.type_hints import Finite

from .mask_loss import MaskLoss, Pixels


@MODELS.register_module()
class RAFLoss(MaskLoss):
    """Referring-aware fusion of three losses (arXiv 2505.19242): λ₁ · BCE + λ₂ · focal + λ₃ · adaptive Dice.

    The adaptive Dice loss of a sample is 1 − (2 Σ wpy + ε) / (Σ wp + Σ wy + ε), with p the probability of a pixel, y
    its truth and w its weight. The focal loss is that of arXiv 1708.02002. The paper publishes none of the numbers;
    the defaults are ours. Everything is computed in float32, from logits.

    Args:
        lambda_bce: λ₁. Default 1.
        lambda_focal: λ₂. Default 1.
        lambda_dice: λ₃. Default 1.
        alpha: weight of the referent's pixels in the focal loss, from 0 to 1; the others have 1 − α. Default 0.25.
        gamma: exponent of the focal loss and of ``'hard'`` weights. Default 2.
        pixel_weight: w of a pixel: ``'error'`` for abs(p − y), ``'hard'`` for (1 − p)^γ. Default ``'error'``.
        reduction: ``'mean'`` averages BCE and focal over pixels, and Dice over samples; ``'sum'`` sums all of them,
            which is the paper's formula, but leaves Dice without effect beside thousands of pixels. Default ``'mean'``.
        eps: ε. Default 1.
        detach_weight: whether w has no gradient. With one, pixels of the referent with p above a half are pushed down
            where there are many false positives, for that shrinks their weight. Default True.
        loss_weight: weight of the whole loss. Default 1.
        loss_name: name in the log; holds ``loss`` to count in the sum. Default ``loss_raf``.

    Raises:
        InputError: a λ or γ is negative, a λ isn't finite, all λ are 0, ε isn't positive, α is not in 0 … 1, or a name
            is unknown.
    """

    def __init__(self,
                 lambda_bce: float = 1.0,
                 lambda_focal: float = 1.0,
                 lambda_dice: float = 1.0,
                 alpha: float = 0.25,
                 gamma: float = 2.0,
                 pixel_weight: str = 'error',
                 reduction: str = 'mean',
                 eps: float = 1.0,
                 detach_weight: bool = True,
                 loss_weight: Finite = 1.0,
                 loss_name: str = 'loss_raf') -> None:
        super().__init__(loss_weight, loss_name)
        weights = dict(lambda_bce=lambda_bce, lambda_focal=lambda_focal, lambda_dice=lambda_dice)
        settings = ', '.join(f'{name}={value}' for name, value in weights.items())
        if not all(map(isfinite, weights.values())) or min(weights.values()) < 0 or not any(weights.values()):
            raise InputError(f'RAFLoss has {settings}; each must be a number, 0 or larger, and one at least positive')
        if not (0 <= alpha <= 1 and gamma >= 0 and eps > 0):
            raise InputError(f'RAFLoss has alpha={alpha}, gamma={gamma}, eps={eps}; it needs 0 ≤ alpha ≤ 1, gamma ≥ 0 '
                             'and eps > 0')
        if pixel_weight not in ('error', 'hard'):
            raise InputError(f"pixel_weight of RAFLoss is {pixel_weight!r}; it must be 'error' or 'hard'")
        if reduction not in ('mean', 'sum'):
            raise InputError(f"reduction of RAFLoss is {reduction!r}; it must be 'mean' or 'sum'")
        self.lambda_bce, self.lambda_focal, self.lambda_dice = lambda_bce, lambda_focal, lambda_dice
        self.alpha, self.gamma, self.eps = alpha, gamma, eps
        self.pixel_weight, self.reduction, self.detach_weight = pixel_weight, reduction, detach_weight

    def value(self, pixels: Pixels) -> Tensor:
        """The weighted sum of cross-entropy, focal and adaptive Dice loss, a scalar; see the class."""
        # softplus(−z) of the logit z towards the truth, and log(1 − p_t): exact where a probability is 0 or 1
        towards = pixels.logits * (2 * pixels.truth - 1)
        bce = F.softplus(-towards)
        miss = F.logsigmoid(-towards)
        balance = self.alpha * pixels.truth + (1 - self.alpha) * (1 - pixels.truth)
        focal = balance * (self.gamma * miss).exp() * bce
        each = (self.lambda_bce * bce + self.lambda_focal * focal) * pixels.weight
        dice = self.lambda_dice * self._adaptive_dice(pixels, miss)
        if self.reduction == 'sum':
            return each.sum() + dice.sum()
        return each.sum() / pixels.weight.sum().clamp(min=1e-6) + dice.mean()

    def _adaptive_dice(self, pixels: Pixels, miss: Tensor) -> Tensor:
        """(B,) from the pixels and the logarithm of abs(p − y)."""
        weight = miss.exp() if self.pixel_weight == 'error' else (self.gamma * F.logsigmoid(-pixels.logits)).exp()
        if self.detach_weight:
            weight = weight.detach()
        weight = weight * pixels.weight
        probability = pixels.logits.sigmoid()
        overlap = (weight * probability * pixels.truth).sum(1)
        return 1 - (2 * overlap + self.eps) / ((weight * (probability + pixels.truth)).sum(1) + self.eps)
