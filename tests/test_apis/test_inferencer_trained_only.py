"""The inferencer on checkpoints that hold only what was trained."""
from copy import deepcopy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg.apis import RefSegInferencer
from mmrefseg.checkpoints.trained_only import base_digests, remove_frozen_weights
from mmrefseg.registry import MODELS


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """The tiny model with a frozen text encoder from a file."""
    path = tmp_path_factory.mktemp('weights') / 'tower.pth'
    config = Config.fromfile(mmrefseg.config_path('sera_tiny_refshapes'))
    tower = RefSegInferencer(config, None, 'cpu').model.text_encoder.tower
    torch.save(tower.state_dict(), path)
    config.model.text_encoder.tuning = 'norm_bias'
    config.model.text_encoder.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    return config


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """A model, and its checkpoint of what was trained."""
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(config.model)
        model.init_weights()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += 0.01
        path = tmp_path_factory.mktemp('trained') / 'delta.pth'
        checkpoint = dict(meta={}, state_dict=model.state_dict())
        remove_frozen_weights(checkpoint, model, base_digests(config.model))
    assert checkpoint['meta']['base'].keys() >= {'text_encoder'}
    assert 'text_encoder.tower.token_embedding.weight' not in checkpoint['state_dict']
    torch.save(checkpoint, path)
    return model, str(path)


def test_completes_them(config, trained):
    model, path = trained
    loaded = RefSegInferencer(config, path, 'cpu').model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())


def test_full_ones_need_no_pretrained_file(config, trained, tmp_path):
    torch.save(trained[0].state_dict(), tmp_path / 'full.pth')
    config = deepcopy(config)
    config.model.text_encoder.init_cfg.checkpoint = 'nowhere.pth'
    RefSegInferencer(config, str(tmp_path / 'full.pth'), 'cpu')
    with pytest.raises(FileNotFoundError, match=r'delta\.pth holds only what was trained and needs .*nowhere\.pth'):
        RefSegInferencer(config, trained[1], 'cpu')


def test_other_pretrained_weights_are_refused(config, trained):
    config = deepcopy(config)
    config.model.text_encoder.init_cfg = None
    with pytest.raises(ValueError, match=r'delta\.pth .* text_encoder was trained upon .*\(from no pretrained file\)'):
        RefSegInferencer(config, trained[1], 'cpu')
