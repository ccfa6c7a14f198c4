"""What a model's routers weigh for expressions about an image."""
from __future__ import annotations

from collections.abc import Sequence

import torch

from .image_sources import ImageSource
from .inferencer import RefSegInferencer


def routing_weights(ask: RefSegInferencer, source: ImageSource,
                    expressions: Sequence[str]) -> list[dict[str, dict[str, float]]]:
    """The weight of each expert; it takes another run of the model.

    Args:
        ask: the model.
        source: the image.
        expressions: what is asked.

    Returns:
        Per expression: router → expert → weight from 0 to 1. Without routers they are empty.

    Raises:
        UserError: the image cannot be read.
    """
    model = ask.model
    if not getattr(model, 'experts', None):
        return [{} for _ in expressions]
    prepared = ask.prepare(source)
    with ask.computing():
        images = model.data_preprocessor.prepare_images([prepared.planes])
        text = model.data_preprocessor.prepare_text(list(expressions))
        index = torch.zeros(len(expressions), dtype=torch.int64, device=ask.device)
        routing = model.extract_feat(images, **text, image_index=index)[2]
    return [{info.name: dict(zip(info.experts, info.weights[row].float().tolist(), strict=True)) for info in routing}
            for row in range(len(expressions))]
