from collections.abc import Callable

import pytest
import torch
from mmengine.config import ConfigDict

from mmrefseg.models import ReferringSegmentor
from mmrefseg.registry import MODELS


@pytest.fixture
def build_with() -> Callable[..., ReferringSegmentor]:
    """The model of a config with given weights, without the time and memory of initialising it first."""

    def build(config: ConfigDict, weights: dict[str, torch.Tensor]) -> ReferringSegmentor:
        with torch.device('meta'):
            model = MODELS.build(config)
        tower = model.text_encoder.tower
        tower.attn_mask = tower.build_causal_mask()  # in no checkpoint
        model.load_state_dict(weights, assign=True)
        return model.eval()

    return build
