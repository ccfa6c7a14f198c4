"""A model that was exported, once for all tests that ask it."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmrefseg.apis import RefSegInferencer
from mmrefseg.apis.export import export_model
from mmrefseg.apis.export.traced_graphs import Graph, trace
from mmrefseg.utils.shipped_files import config_path


def randomised(config: Config) -> RefSegInferencer:
    """With weights that let each part have an effect: many start at zero."""
    torch.manual_seed(0)
    ask = RefSegInferencer(config, None, 'cpu')
    with torch.no_grad():
        for name, parameter in ask.model.named_parameters():
            if name.endswith('weight') and not parameter.any():
                nn.init.normal_(parameter, std=0.05)
        for name, buffer in ask.model.named_buffers():
            if name.endswith('running_mean'):
                buffer.normal_(std=0.1)
    return ask


@pytest.fixture(scope='session')
def sera() -> RefSegInferencer:
    """SERA whose fusion leaves experts out, with a layer of each kind, as tracing takes its time for each."""
    config = Config.fromfile(config_path('sera_tiny_refshapes'))
    config.merge_from_dict({
        'model.text_encoder.arch.text_cfg.layers': 1, 'model.decode_head.num_layers': 1,
        'model.text_encoder.adapter.indices': (0, ), 'model.backbone.depth': 2, 'model.backbone.out_indices': (1, ),
        'model.backbone.adapter.indices': (1, ), 'model.neck.in_channels': (96, ), 'model.neck.top_k': 2})
    return randomised(config)


@pytest.fixture(scope='session')
def graphs(sera) -> list[Graph]:
    return trace(sera.model, 112, True, 'torch')


@pytest.fixture(scope='session')
def exported(sera, graphs, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmrefseg.apis.export.exporting.trace', lambda *args: graphs)  # tracing takes its time
        return export_model(sera, tmp_path_factory.mktemp('exported'), 'sera_tiny_refshapes', None, split=True)


@pytest.fixture(scope='session')
def image() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((160, 100), Image.Resampling.BICUBIC))
