"""What the configs of SERA set, beyond the table."""
import subprocess
import sys

import pytest
import yaml
from helpers.configs import FOLDER, build, build_changed, changes, load, mixtures, part_classes
from timm.layers import PatchEmbed
from timm.models.vision_transformer_hybrid import HybridEmbed
from torch import nn

import mmrefseg
from mmrefseg.checkpoints.pretrained import source_of
from mmrefseg.models import BinaryDiceLoss
from mmrefseg.models.layers import ExpertMixture, TextAdapter
from mmrefseg.utils.model_complexity import count_parameters

FULL, TINY = 'sera_dinov2_refcoco', 'sera_tiny_refshapes'


def test_tiny_and_full_size_have_the_same_classes():
    """All but the embedding of patches, which is timm's in both."""
    assert part_classes(TINY) - {BinaryDiceLoss, HybridEmbed, nn.GroupNorm} == part_classes(FULL) - {PatchEmbed}


@pytest.mark.parametrize('name', [TINY, FULL])
def test_parts_of_sera(name):
    model = build(name)
    assert len(model.backbone.adapters) >= 1
    assert len(model.backbone.out_indices) == len(model.neck.mixtures) == 3
    assert all(list(mixture.experts) == ['spatial', 'contextual', 'boundary', 'shape']
               for mixture in model.neck.mixtures)
    assert [loss.loss_name for loss in model.routing_losses] == [
        'loss_router_z', 'loss_router_balance', 'loss_router_assignment']
    assert sum(isinstance(module, ExpertMixture) for module in model.modules()) == 3 + len(model.backbone.adapters)


def test_published_values():
    config, model = load(FULL), build(FULL)
    backbone, text, neck, head = model.backbone, model.text_encoder, model.neck, model.decode_head
    assert list(backbone.adapters) == list(text.adapters) == ['1', '3', '5', '7', '9', '11']
    assert (backbone.out_indices, backbone.tower.reg_token.shape) == ([4, 8, 11], (1, 4, 768))
    assert (backbone.pos_embed_offset, backbone.pos_embed_antialias) == (0.1, False)
    assert {adapter.down.out_features for adapter in backbone.adapters.values()} == {128}
    assert {adapter.down.out_features for adapter in text.adapters.values()} == {64}
    assert {adapter.scale for adapter in (*backbone.adapters.values(), *text.adapters.values())} == {0.2}
    assert (text.num_tokens, text.channels, text.sentence_channels) == (17, 512, 512)
    assert type(text.tower.transformer.resblocks[0].mlp.gelu).__name__ == 'QuickGELU'
    assert {mixture.router.top_k for mixture in neck.mixtures} == {4}
    assert (len(head.decoder.layers), head.decoder.layers[0].ffn[0].out_features) == (3, 512)
    assert [loss.loss_name for loss in head.loss_decode] == ['loss_ce']
    assert model.test_cfg['threshold'] == 0.35
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
    assert config.train_cfg.max_epochs == 65
    assert config.param_scheduler == [dict(type='MultiStepLR', milestones=[35, 55], gamma=0.1, by_epoch=True)]
    assert {step.size for step in config.train_dataloader.dataset.pipeline if 'size' in step} == {448}


def test_less_than_a_hundredth_of_the_pretrained_parameters_train():
    model = build(FULL)
    for part, size in ((model.backbone, 86.6e6), (model.text_encoder, 63.4e6)):  # DINOv2-B/14, CLIP's transformer
        pretrained, new = count_parameters(part)
        assert pretrained.total == pytest.approx(size, rel=0.001)
        assert 0 < pretrained.trainable < 0.01 * pretrained.total
        assert new.trainable == new.total > 0


def test_tiny_on_12x12_patches():
    """But for the images' size and place, and the encoders' training, it is the quick start's model before its patches
    were embedded by convolutions, its batches grouped by image, its routers let loose, its words kept to the last
    block, and its optimizer and schedule changed."""
    changed = changes('sera_tiny-168_refshapes', 'sera_tiny_refshapes')
    letterbox, root = dict(type='Letterbox', size=168), 'data/refshapes_168'
    main = load('sera_tiny_refshapes').to_dict()
    expected = {'input_size': 168, 'letterbox.size': 168, 'data_root': root, 'model.backbone.img_size': 12 * 14}
    for part in ('backbone', 'text_encoder'):
        weights = f'pretrained/refshapes_168/{part}.pth'
        expected |= {f'{part.split("_")[0]}_weights': weights, f'model.{part}.tuning': 'norm_bias',
                     f'model.{part}.init_cfg': dict(type='Pretrained', checkpoint=weights)}
    for split, name in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        pipeline = [letterbox if step['type'] == 'Letterbox' else step for step in main[f'{name}_pipeline']]
        expected |= {f'{name}_pipeline': pipeline, f'{split}_dataloader.dataset.pipeline': pipeline,
                     f'{split}_dataloader.dataset.data_root': root}
    of_routers = {f'{part}.{setting}' for part in ('backbone.adapter', 'neck')
                  for setting in ('temperature', 'balancing_rate')}
    absent = {'routing', 'optim_wrapper.paramwise_cfg', 'train_dataloader.sampler.per_image', *(
        f'model.{name}' for name in ('data_preprocessor.share_in_training', 'backbone.patch_size',
                                     'backbone.stem_channels', *of_routers))}
    expected |= dict.fromkeys(absent, 'absent')
    expected |= {'model.backbone.adapter.indices': (1, 2, 3), 'optim_wrapper.optimizer.type': 'AdamW', 'lr': 1.1e-3,
                 'optim_wrapper.optimizer.lr': 1.1e-3, 'decay_begin': 380, 'max_iters': 560,
                 'train_cfg.max_iters': 560, 'train_cfg.val_interval': 560}
    decay = changed.pop('param_scheduler')[1]
    assert (decay['begin'], decay['end']) == (380, 560)
    expected |= {'train_dataloader.sampler.type': 'SeededInfiniteSampler', 'train_dataloader.sampler.shuffle': True}
    losses = changed.pop('model.routing_losses')
    assert [(loss['type'], loss['loss_weight']) for loss in losses] == [
        ('RouterZLoss', 1e-3), ('LoadBalanceLoss', 1e-2), ('AssignmentLoss', 1e-2)]
    assert changed == expected
    assert build('sera_tiny-168_refshapes').backbone.tower.pos_embed.shape == (1, 12 * 12, 96)


def test_pretraining_of_the_tiny_encoders():
    changed = changes('sera_tiny-168_pretraining_refshapes', 'sera_tiny-168_baseline_refshapes')
    for part in ('backbone', 'text_encoder'):
        assert (changed.pop(f'model.{part}.tuning'), changed.pop(f'model.{part}.init_cfg')) == ('all', None)
    assert changed.pop('model.text_encoder.adapter') is None
    assert changed and set(changed.values()) == {'data/refshapes_168_pretraining'}


def test_losses_of_the_routers():
    losses = load(FULL).model.routing_losses
    assert [config.type for config in losses] == ['RouterZLoss', 'LoadBalanceLoss', 'AssignmentLoss']
    assert all(config.loss_weight > 0 for config in losses)


@pytest.mark.parametrize(('name', 'adapters', 'fusion'), [
    ('sera_dinov2_refcoco', 6, 3),
    ('sera_dinov2_baseline_refcoco', 0, 0),
    ('sera_dinov2_adapter-only_refcoco', 6, 0),
    ('sera_dinov2_fusion-only_refcoco', 0, 3),
    ('sera_tiny_refshapes', 1, 3),
    ('sera_tiny-168_baseline_refshapes', 0, 0),
    ('sera_tiny-168_adapter-only_refshapes', 3, 0),
    ('sera_tiny-168_fusion-only_refshapes', 0, 3),
])
def test_components(name, adapters, fusion):
    model = build(name)
    stages = [router.split('.')[0] for router in mixtures(model)]
    assert (stages.count('adapter'), stages.count('fusion')) == (adapters, fusion)
    assert len(model.backbone.adapters) == adapters
    assert model.backbone.takes_text == (adapters > 0)
    assert any(isinstance(module, TextAdapter) for module in model.modules())


@pytest.mark.parametrize(('name', 'adapter', 'fusion'), [
    ('sera_dinov2_refcoco', 2, 4),
    ('sera_dinov2_fusion-top-1_refcoco', 2, 1),
    ('sera_dinov2_adapter-sparse_refcoco', 1, 4),
    ('sera_dinov2_both-sparse_refcoco', 1, 2),
    ('sera_dinov2_fusion-no-shape_refcoco', 2, 3),
    ('sera_dinov2_adapter-no-spatial_refcoco', 1, 4),
])
def test_number_of_chosen_experts(name, adapter, fusion):
    chosen = {(name.split('.')[0], mixture.router.top_k) for name, mixture in mixtures(build(name)).items()}
    assert chosen == {('adapter', adapter), ('fusion', fusion)}


def test_noise_of_the_routers():
    for name, expected in (('sera_dinov2_refcoco', 0.1), ('sera_dinov2_fusion-no-noise_refcoco', 0.0)):
        noise = {router.split('.')[0]: mixture.router.noise_std for router, mixture in mixtures(build(name)).items()}
        assert noise == {'adapter': 0.0, 'fusion': expected}


def test_large():
    model = build('sera_dinov2-large_refcoco')
    backbone = model.backbone
    assert (len(backbone.tower.blocks), backbone.out_indices) == (24, [8, 16, 23])
    assert list(backbone.adapters) == ['2', '6', '10', '14', '18', '22']
    assert {adapter.down.in_features for adapter in backbone.adapters.values()} == {1024}
    assert [project.conv.in_channels for project in model.neck.project] == [1024] * 3


@pytest.mark.parametrize('name', ['dinov3-small', 'dinov3-base', 'dinov3-large', 'siglip2-base'])
def test_other_towers(name):
    config, backbone = load(f'sera_{name}_refcoco'), build(f'sera_{name}_refcoco').backbone
    weights = config.model.backbone.init_cfg.checkpoint
    tower = weights.split('/')[1]
    assert source_of(weights) == f'https://huggingface.co/timm/{tower}/resolve/main/model.safetensors'
    assert config.letterbox.size == 32 * backbone.patch_size
    if name == 'siglip2-base':  # nothing is to be resized
        assert tuple(backbone.tower.patch_embed.grid_size) == (32, 32)


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(neck__in_channels=(768, 768)), r'in_channels of neck \(SERAFusion\) is \(768, 768\); .* \(768, 768, 768\)'),
    (dict(decode_head__num_heads=7), 'num_heads of DynamicKernelHead is 7; .* divides the 512 channels'),
    (dict(neck__top_k=5), r"top_k of router 'fusion\.0' is 5; it must be a whole number between 1 and .* 4 "),
    (dict(backbone__adapter__top_k=0), r"top_k of router 'adapter\.1' is 0; .* a whole number between 1 and .* 2"),
    (dict(backbone__adapter__top_k=3), r'between 1 and .* 2 \(spatial, boundary\)'),
    (dict(neck__experts=['edge']), r"of SERAFusion is \['edge'\]; .*'spatial', 'contextual', 'boundary', 'shape'"),
    (dict(backbone__adapter__experts=['shape']), r"experts of SERAAdapter is \['shape'\]; .*'spatial', 'boundary'"),
    (dict(backbone__adapter__experts=[]), r"router 'adapter\.1' has no experts"),
    (dict(backbone__adapter__indices=(1, 12)), r'adapter\.indices of PlainViT is \(1, 12\); .* blocks, 0 to 11,'),
])
def test_impossible_settings_are_refused_when_the_model_is_built(settings, message):
    with pytest.raises(ValueError, match=message):
        build_changed(FULL, {f'model.{key.replace("__", ".")}': value for key, value in settings.items()})


def test_figures_of_the_metafile_are_those_of_the_readme():
    names, lines = ('mIoU', 'oIoU', 'Pr@50', 'Pr@90'), (FOLDER / 'sera/README.md').read_text().splitlines()
    rows = [line.split() for line in lines if '| both |' in line and '±' in line]
    figures = {row[1]: dict(zip(names, map(float, row[5::4]), strict=True)) for row in rows}
    entries = yaml.safe_load((FOLDER / 'sera/metafile.yml').read_text())['Models']
    results = next(entry['Results'] for entry in entries if entry['Name'] == 'sera_tiny-168_refshapes')
    assert {result['Dataset'].split()[-1]: result['Metrics'] for result in results} == figures
    assert figures.keys() == {'val', 'testA', 'testB'}


STEP = '''
import re
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData

import mmrefseg
from mmrefseg.registry import MODELS
from mmrefseg.structures import RefSegDataSample

mmrefseg.register_all_modules()
config = Config.fromfile(sys.argv[1])
config.model.text_encoder.init_cfg = config.model.backbone.init_cfg = None
model = MODELS.build(config.model)
model.init_weights()
optimizer = build_optim_wrapper(model, config.optim_wrapper)
mask = torch.zeros(1, 448, 448, dtype=torch.uint8)
mask[:, 100:300, 50:200] = 1
sample = RefSegDataSample(gt_sem_seg=PixelData(data=mask), metainfo=dict(text='the man left of the red car'))
log = model.train_step(
    dict(inputs=[torch.randint(0, 256, (3, 448, 448), dtype=torch.uint8)], data_samples=[sample]), optimizer)
assert log['loss'].isfinite()
peak = re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())
print('peak', int(peak[1]) / 2**20)
'''


def test_a_full_size_training_step_fits_into_8_gb():
    command = [sys.executable, '-c', STEP, mmrefseg.config_path(FULL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split('peak')[-1]) < 8
