"""Also of what the hook shares with the inferencer: finding the sizes in a config."""
import pytest
from helpers.toy_runner import toy_runner
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

import mmrefseg
from mmrefseg.engine.setup_checks import check_input_sizes
from mmrefseg.models import CLIPResNet, PlainViT

TINY = dict(arch='vit_base_patch14_reg4_dinov2', embed_dim=24, depth=1, num_heads=2, img_size=28)


def model_with(backbone):
    model = nn.Module()
    model.backbone = backbone
    return model


@pytest.fixture
def model():
    return model_with(PlainViT(**TINY))


def config_of(loader, dataset):
    return Config({f'{loader}_dataloader': dict(dataset=dataset)})


@pytest.mark.parametrize('loader', ['train', 'val', 'test'])
@pytest.mark.parametrize('step', ['Letterbox', 'FastLetterbox', 'RandomLetterbox', 'Stretch', 'mmrefseg.Letterbox'])
def test_each_way_into_a_square_in_each_dataloader(model, loader, step):
    def config(size):
        return config_of(loader, dict(pipeline=[dict(type='LoadReferringImage'), dict(type=step, size=size)]))

    check_input_sizes(config(28), model)
    name = step.removeprefix('mmrefseg.')
    said = f'^size of {name} in {loader}_dataloader is 30 × 30 pixels; .* of 14, the patch size of PlainViT: 28 × 28'
    with pytest.raises(ValueError, match=said):
        check_input_sizes(config(30), model)


def test_pipelines_within_others(model):
    small, odd = dict(type='FastLetterbox', size=28), dict(type='Letterbox', size=35)
    choice = dict(type='RandomChoice', transforms=[[small], [odd]])
    mixture = dict(type='ConcatDataset', datasets=[dict(pipeline=[]), dict(pipeline=[choice])])
    with pytest.raises(ValueError, match='size of Letterbox in train_dataloader is 35'):
        check_input_sizes(config_of('train', mixture), model)


def test_clips_resnet_takes_multiples_of_32():
    model = model_with(CLIPResNet(dict(embed_dim=20, vision_cfg=dict(layers=[1, 1, 1, 1], width=8, image_size=64))))
    check_input_sizes(config_of('test', dict(pipeline=[dict(type='Letterbox', size=416)])), model)
    with pytest.raises(ValueError, match='is 400 × 400 pixels; .* multiples of 32, the coarsest stride of CLIPResNet'):
        check_input_sizes(config_of('test', dict(pipeline=[dict(type='Letterbox', size=400)])), model)


@pytest.mark.parametrize('model', [nn.Linear(1, 1), model_with(nn.Linear(1, 1))])
def test_a_model_that_says_nothing_takes_any_size(model):
    check_input_sizes(config_of('test', dict(pipeline=[dict(type='Letterbox', size=30)])), model)


def test_other_configs_pass(model):
    check_input_sizes(Config(), model)
    check_input_sizes(Config(dict(val_dataloader=None)), model)
    check_input_sizes(config_of('train', dict(type='Mine', size=3)), model)


def test_a_runner_of_objects_passes(tmp_path):
    toy_runner(tmp_path, custom_hooks=[dict(type='CheckSetupHook')]).train()


def test_a_run_of_a_config_is_stopped_at_its_start(tmp_path):
    """By the default hooks, whichever dataloader it is that doesn't fit."""
    mmrefseg.register_all_modules(init_default_scope=False)
    config = Config.fromfile(mmrefseg.config_path('sera/sera_tiny_refshapes.py'))
    config.merge_from_dict(dict(work_dir=str(tmp_path), log_level='ERROR', experiment_name='input_size'))
    letterbox = next(step for step in config.test_dataloader.dataset.pipeline if step.type == 'Letterbox')
    letterbox.size = 100
    runner = Runner.from_cfg(config)
    with pytest.raises(ValueError, match='size of Letterbox in test_dataloader is 100 × 100 .* 98 × 98 is the nearest'):
        runner.call_hook('before_run')
