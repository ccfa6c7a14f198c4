"""What the configs of CRIS set, beyond what test_configs.py says of all."""
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg.registry import MODELS

FOLDER = Path(mmrefseg.config_path('cris_r101_refcoco')).parent
DATA = {'refcoco': ('refcoco', 'unc'), 'refcoco-plus': ('refcoco+', 'unc'), 'refcocog-umd': ('refcocog', 'umd'),
        'refcocog-google': ('refcocog', 'google')}
R50, R101 = ([f'cris_{size}_{data}' for data in DATA] for size in ('r50', 'r101'))


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
    assert {path.stem for path in FOLDER.glob('*.py')} == {*R50, *R101}


@pytest.mark.parametrize('name', [*R50, *R101])
def test_schedule_and_data(name):
    config = load(name)
    assert config.train_cfg.max_epochs == 50
    assert config.param_scheduler == [dict(type='MultiStepLR', milestones=[35], gamma=0.1, by_epoch=True)]
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
    assert 'clip_grad' not in config.optim_wrapper
    assert 4 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 64
    assert config.sync_bn == 'torch'
    folder, split_by = DATA[name.split('_', 2)[2]]
    for dataloader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert (dataloader.dataset.data_root, dataloader.dataset.split_by) == (f'data/{folder}', split_by)
        assert [step.size for step in dataloader.dataset.pipeline if step.type == 'Letterbox'] == [416]
    splits = [config[f'{mode}_dataloader'].dataset.split for mode in ('train', 'val', 'test')]
    assert splits == ['train', 'val', 'test' if split_by == 'umd' else 'val']
    assert config.model.text_encoder.num_tokens == (22 if folder == 'refcocog' else 17)


@pytest.mark.parametrize(('name', 'size', 'depths', 'channels'), [
    (R50[0], '50', (3, 4, 6, 3), 1024), (R101[0], '101', (3, 4, 23, 3), 512)])
def test_published_values(name, size, depths, channels):
    config, model = load(name).model, build_on_meta(name)
    backbone, text, neck, head = model.backbone, model.text_encoder, model.neck, model.decode_head
    for encoder in (config.text_encoder, config.backbone):
        assert encoder.arch == f'RN{size}-quickgelu'
        assert encoder.init_cfg.checkpoint == f'pretrained/resnet{size}_clip.openai/open_clip_model.safetensors'
    assert tuple(len(getattr(backbone.tower, f'layer{i}')) for i in range(1, 5)) == depths
    assert backbone.tower.attnpool.positional_embedding.shape == (7 * 7 + 1, 2048)
    assert (text.channels, text.sentence_channels) == (512, channels)
    assert type(text.tower.transformer.resblocks[0].mlp.gelu).__name__ == 'QuickGELU'
    assert len(text.adapters) == 0
    assert [project.conv.in_channels for project in neck.project] == [512, 1024, channels]
    assert [project.conv.out_channels for project in neck.project] == [256, 512, 1024]
    assert (len(head.decoder.layers), head.decoder.layers[0].ffn[0].out_features) == (3, 2048)
    assert (head.decoder.layers[0].self_attention.num_heads, head.decoder.layers[0].dropout.p) == (8, 0.1)
    assert [loss.loss_name for loss in head.loss_decode] == ['loss_ce']
    assert model.test_cfg['threshold'] == 0.35
    assert all(p.requires_grad for p in model.parameters())
    with torch.device('meta'):
        text = model.text_encoder(torch.zeros(2, 17, dtype=torch.long), torch.ones(2, 17, dtype=torch.bool))
        maps = model.backbone(torch.zeros(2, 3, 416, 416))
        assert model.decode_head(model.neck(maps, text), text).shape == (2, 1, 104, 104)


def test_metafile():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    assert {model['Name'] for model in models} == {*R50, *R101}
    for names in (R50, R101):
        parameters = [*build_on_meta(names[0]).parameters()]
        for model in (model for model in models if model['Name'] in names):
            name, metadata = model['Name'], model['Metadata']
            assert model['Config'] == f'configs/cris/{name}.py'
            assert (metadata['Epochs'], metadata['Batch Size']) == (50, 64)
            assert metadata['Parameters'] == sum(p.numel() for p in parameters)
            assert metadata['Trained Parameters'] == sum(p.numel() for p in parameters if p.requires_grad)


def test_the_small_model_of_the_readme(tmp_path):
    snippet = (FOLDER / 'README.md').read_text().split('```python\n')[1].split('```')[0]
    (tmp_path / 'small.py').write_text(snippet)
    model = MODELS.build(Config.fromfile(tmp_path / 'small.py').model)
    words = torch.ones(2, 17, dtype=torch.long)
    assert model(torch.randn(2, 3, 128, 128), token_ids=words, token_mask=words.bool()).shape == (2, 1, 32, 32)
