"""How much of its referent a mask may be expected to cover, by the model's own word."""
from __future__ import annotations

import torch
from torch import Tensor


def expected_overlap(logits: Tensor, threshold: float) -> float:
    """Expected intersection over expected union of a mask with the truth, if each pixel is what its probability says.

    Args:
        logits: (h, w).
        threshold: probability that a pixel of the mask exceeds.

    Returns:
        0 to 1; 0 where the mask is empty.
    """
    probability = logits.detach().float().sigmoid()
    inside = probability > threshold
    union = torch.count_nonzero(inside) + probability[~inside].sum()
    return float(probability[inside].sum() / union) if inside.any() else 0.0
