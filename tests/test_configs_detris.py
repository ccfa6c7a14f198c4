"""What the configs of DETRIS set, beyond what test_configs.py says of all."""
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg.models import DETRISAdapter
from mmrefseg.models.layers import Router
from mmrefseg.registry import MODELS

FOLDER = Path(mmrefseg.config_path('detris_dinov2_refcoco')).parent
DATA = ('refcoco', 'refcoco-plus', 'refcocog-umd', 'refcocog-google')
BASE = [f'detris_dinov2_{data}' for data in DATA]
LARGE = [f'detris_dinov2-large_{data}' for data in DATA]
MIXED = 'detris_dinov2-large_refcoco-mixed'


@pytest.fixture(autouse=True)
def scope():
    mmrefseg.register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def build_on_meta(name):
    with torch.device('meta'):
        return MODELS.build(load(name).model)


def test_all_configs_are_there():
    assert {path.stem for path in FOLDER.glob('*.py')} == {*BASE, *LARGE, MIXED}


@pytest.mark.parametrize('name', [*BASE, *LARGE, MIXED])
def test_schedule(name):
    config = load(name)
    short = 'large' in name or name.endswith('google')
    assert config.train_cfg.max_epochs == (50 if short else 65)
    assert [scheduler.type for scheduler in config.param_scheduler] == ['MultiStepLR']
    assert config.param_scheduler[0].milestones == ([35] if short else [35, 55])
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
    assert 4 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 32
    assert config.sync_bn == 'torch'
    assert config.model.text_encoder.num_tokens == (22 if name.endswith('umd') else 17)


@pytest.mark.parametrize(('name', 'folder', 'split_by'), [
    ('refcoco', 'refcoco', 'unc'), ('refcoco-plus', 'refcoco+', 'unc'), ('refcocog-umd', 'refcocog', 'umd'),
    ('refcocog-google', 'refcocog', 'google')])
def test_data(name, folder, split_by):
    for size in ('', '-large'):
        config = load(f'detris_dinov2{size}_{name}')
        for dataloader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            assert (dataloader.dataset.data_root, dataloader.dataset.split_by) == (f'data/{folder}', split_by)


@pytest.mark.parametrize(('name', 'width', 'blocks', 'maps', 'channels', 'text_blocks', 'text_channels'), [
    (BASE[0], 768, range(1, 12, 2), [4, 8, 11], 128, range(1, 12, 2), 64),
    (LARGE[0], 1024, range(2, 23, 4), [8, 16, 23], 128, range(1, 12, 2), 64),
    (MIXED, 1024, range(1, 24), [8, 16, 23], 384, range(1, 12), 384),
])
def test_published_values(name, width, blocks, maps, channels, text_blocks, text_channels):
    model = build_on_meta(name)
    backbone, text, head = model.backbone, model.text_encoder, model.decode_head
    assert [*backbone.adapters] == [str(i) for i in blocks]
    assert [*text.adapters] == [str(i) for i in text_blocks]
    assert (backbone.tower.embed_dim, backbone.out_indices, backbone.tower.num_reg_tokens) == (width, maps, 4)
    assert (backbone.pos_embed_offset, backbone.pos_embed_antialias) == (0.1, False)
    for adapter in backbone.adapters.values():
        assert type(adapter) is DETRISAdapter
        assert (adapter.down.out_features, adapter.attention.attention.embed_dim, adapter.scale) == (channels, 128, 0.2)
        assert (adapter.branches.dense, adapter.attention.mask_padding) == (True, False)
    assert {adapter.down.out_features for adapter in text.adapters.values()} == {text_channels}
    assert not [module for module in model.modules() if isinstance(module, Router)]
    assert len(model.routing_losses) == 0
    assert (len(head.decoder.layers), head.decoder.layers[0].ffn[0].out_features) == (3, 512)
    assert [loss.loss_name for loss in head.loss_decode] == ['loss_ce']
    assert model.test_cfg['threshold'] == 0.35


@pytest.mark.parametrize('name', [BASE[0], LARGE[0], MIXED])
def test_the_encoders_are_frozen(name):
    model = build_on_meta(name)
    for encoder in (model.text_encoder, model.backbone):
        assert all(p.requires_grad == name.startswith('adapters.') for name, p in encoder.named_parameters())
    assert all(p.requires_grad for part in (model.neck, model.decode_head) for p in part.parameters())


def test_weights_of_the_right_size():
    for name, size in ((BASE[0], 'b'), (LARGE[0], 'l'), (MIXED, 'l')):
        assert load(name).model.backbone.init_cfg.checkpoint == f'pretrained/dinov2_vit{size}14_reg4_pretrain.pth'


def test_metafile():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    assert {model['Name'] for model in models} == {*BASE, *LARGE, MIXED}
    for names in (BASE, LARGE, [MIXED]):
        parameters = [*build_on_meta(names[0]).parameters()]
        for model in models:
            name, metadata = model['Name'], model['Metadata']
            if name in names:
                assert model['Config'] == f'configs/detris/{name}.py'
                assert (metadata['Epochs'], metadata['Batch Size']) == (load(name).train_cfg.max_epochs, 32)
                assert metadata['Parameters'] == sum(p.numel() for p in parameters)
                assert metadata['Trained Parameters'] == sum(p.numel() for p in parameters if p.requires_grad)
