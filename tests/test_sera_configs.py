"""Each config of SERA differs from the main one in what its name says, and in nothing else."""
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg.checkpoints.pretrained import source_of
from mmrefseg.models.layers import ExpertMixture, TextAdapter
from mmrefseg.registry import MODELS

FOLDER = Path(mmrefseg.config_path('sera/sera_dinov2_refcoco.py')).parent
EXPERTS = ('spatial', 'contextual', 'boundary', 'shape')
LOSSES = ('RouterZLoss', 'LoadBalanceLoss', 'AssignmentLoss')
DATA = {
    'refcoco': ('data/refcoco', 'unc', 'val'),
    'refcoco-plus': ('data/refcoco+', 'unc', 'val'),
    'refcocog-umd': ('data/refcocog', 'umd', 'test'),
    'refcocog-google': ('data/refcocog', 'google', 'val'),
}
NO_ADAPTER, NO_FUSION = {'model.backbone.adapter': None}, {'model.neck.experts': ()}

# What differs from the main config of the same size and data.
ABLATIONS = {
    'baseline': NO_ADAPTER | NO_FUSION,
    'adapter-only': NO_FUSION,
    'fusion-only': NO_ADAPTER,
    **{f'top-{k}': {'model.neck.top_k': k} for k in (1, 2, 3)},
    'adapter-sparse': {'model.backbone.adapter.top_k': 1},
    'fusion-soft': {'model.neck.noise_std': 0.0},
    'both-sparse': {'model.backbone.adapter.top_k': 1, 'model.neck.top_k': 2},
    'adapter-no-boundary': {'model.backbone.adapter.experts': ('spatial', )},
    'adapter-no-spatial': {'model.backbone.adapter.experts': ('boundary', )},
    **{f'fusion-no-{name}': {'model.neck.experts': tuple(e for e in EXPERTS if e != name)} for name in EXPERTS},
}
COMPONENTS = ('baseline', 'adapter-only', 'fusion-only')


@pytest.fixture(autouse=True)
def scope():
    mmrefseg.register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def build(name, **changes):
    config = load(name)
    config.merge_from_dict({f'model.{key.replace("__", ".")}': value for key, value in changes.items()})
    with torch.device('meta'):
        return MODELS.build(config.model)


def differences(name, other, prefix=''):
    """Dotted key → value in ``name`` of everything that is not equal in ``other``; ``'absent'`` where there is none."""
    found = {}
    for key in {**name, **other}:
        mine, theirs = name.get(key, 'absent'), other.get(key, 'absent')
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found |= differences(mine, theirs, f'{prefix}{key}.')
        elif mine != theirs:
            found[prefix + key] = mine
    return found


def changes(name, main):
    return differences(load(name).to_dict(), load(main).to_dict())


def ablations():
    for name in ABLATIONS:
        yield f'ablation/sera_dinov2_{name}_refcoco', 'sera_dinov2_refcoco', name
    for name in COMPONENTS:
        for data in ('refcoco-plus', 'refcocog-google'):
            yield f'ablation/sera_dinov2_{name}_{data}', f'sera_dinov2_{data}', name
        yield f'ablation/sera_tiny-168_{name}_refshapes', 'sera_tiny-168_refshapes', name


@pytest.mark.parametrize(('name', 'main', 'ablation'), list(ablations()))
def test_an_ablation_changes_one_thing(name, main, ablation):
    assert changes(name, main) == ABLATIONS[ablation]


def test_tiny_on_12x12_patches():
    """Nothing but the images' size and place, and the encoders' training, differs from the quick start's model."""
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
    assert changed == expected
    assert build('sera_tiny-168_refshapes').backbone.tower.pos_embed.shape == (1, 12 * 12, 96)


def test_pretraining_of_the_tiny_encoders():
    changed = changes('ablation/sera_tiny-168_pretraining_refshapes', 'ablation/sera_tiny-168_baseline_refshapes')
    for part in ('backbone', 'text_encoder'):
        assert (changed.pop(f'model.{part}.tuning'), changed.pop(f'model.{part}.init_cfg')) == ('all', None)
    assert changed.pop('model.text_encoder.adapter') is None
    assert changed and set(changed.values()) == {'data/refshapes_168_pretraining'}


@pytest.mark.parametrize(('name', 'loss'), list(zip(('z', 'balance', 'assignment'), LOSSES, strict=True)))
def test_a_loss_off_leaves_the_others(name, loss):
    main = load('sera_dinov2_refcoco').model.routing_losses
    assert [config.type for config in main] == list(LOSSES)
    assert all(config.loss_weight > 0 for config in main)
    assert changes(f'ablation/sera_dinov2_no-{name}-loss_refcoco', 'sera_dinov2_refcoco') == {
        'model.routing_losses': [config for config in main if config.type != loss]}


def test_every_ablation_is_tested():
    names = {name for name, *_ in ablations()}
    names |= {'ablation/sera_tiny-168_pretraining_refshapes'}
    names |= {f'ablation/sera_dinov2_no-{loss}-loss_refcoco' for loss in ('z', 'balance', 'assignment')}
    assert {path.relative_to(FOLDER).with_suffix('').as_posix() for path in (FOLDER / 'ablation').iterdir()} == names


def mixtures(model):
    return {module.router.name: module for module in model.modules() if isinstance(module, ExpertMixture)}


@pytest.mark.parametrize(('name', 'adapters', 'fusion'), [
    ('sera_dinov2_refcoco', 6, 3),
    ('ablation/sera_dinov2_baseline_refcoco', 0, 0),
    ('ablation/sera_dinov2_adapter-only_refcoco', 6, 0),
    ('ablation/sera_dinov2_fusion-only_refcoco', 0, 3),
    ('sera_tiny_refshapes', 3, 3),
    ('ablation/sera_tiny-168_baseline_refshapes', 0, 0),
    ('ablation/sera_tiny-168_adapter-only_refshapes', 3, 0),
    ('ablation/sera_tiny-168_fusion-only_refshapes', 0, 3),
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
    ('ablation/sera_dinov2_top-1_refcoco', 2, 1),
    ('ablation/sera_dinov2_adapter-sparse_refcoco', 1, 4),
    ('ablation/sera_dinov2_both-sparse_refcoco', 1, 2),
    ('ablation/sera_dinov2_fusion-no-shape_refcoco', 2, 3),
    ('ablation/sera_dinov2_adapter-no-spatial_refcoco', 1, 4),
])
def test_number_of_chosen_experts(name, adapter, fusion):
    chosen = {(name.split('.')[0], mixture.router.top_k) for name, mixture in mixtures(build(name)).items()}
    assert chosen == {('adapter', adapter), ('fusion', fusion)}


def test_noise_of_the_routers():
    for name, expected in (('sera_dinov2_refcoco', 0.1), ('ablation/sera_dinov2_fusion-soft_refcoco', 0.0)):
        noise = {router.split('.')[0]: mixture.router.noise_std for router, mixture in mixtures(build(name)).items()}
        assert noise == {'adapter': 0.0, 'fusion': expected}


@pytest.mark.parametrize('size', ['', '-large'])
@pytest.mark.parametrize('data', DATA)
def test_main_configs_differ_in_their_data(size, data):
    config = load(f'sera_dinov2{size}_{data}')
    root, split_by, test_split = DATA[data]
    loaders = [config.train_dataloader, config.val_dataloader, config.test_dataloader]
    for loader, split in zip(loaders, ('train', 'val', test_split), strict=True):
        dataset = loader.dataset
        assert (dataset.data_root, dataset.split_by, dataset.split) == (root, split_by, split)
        assert dataset.data_prefix.img_path == '../coco/train2014'
    assert config.model.text_encoder.num_tokens == (22 if data == 'refcocog-umd' else 17)
    differing = changes(f'sera_dinov2{size}_{data}', f'sera_dinov2{size}_refcoco')
    tails = {key.split('.')[-1] for key in differing}
    assert tails <= {'data_root', 'split_by', 'split', 'num_tokens', 'max_epochs', 'param_scheduler'}


@pytest.mark.parametrize('size', ['', '-large'])
def test_mixed_data(size):
    config = load(f'sera_dinov2{size}_refcoco-mixed')
    sources = config.train_dataloader.dataset.datasets
    assert [(source.data_root, source.split_by) for source in sources] == [
        ('data/refcoco', 'unc'), ('data/refcoco+', 'unc'), ('data/refcocog', 'umd')]
    assert (config.val_dataloader.dataset.data_root, config.val_dataloader.dataset.split) == ('data/refcoco', 'val')
    assert config.model.text_encoder.num_tokens == 22


@pytest.mark.parametrize(('name', 'epochs', 'milestones'), [
    ('sera_dinov2_refcoco', 65, [35, 55]),
    ('sera_dinov2_refcoco-plus', 65, [35, 55]),
    ('sera_dinov2_refcocog-umd', 65, [35, 55]),
    ('sera_dinov2_refcocog-google', 50, [35]),
    ('sera_dinov2_refcoco-mixed', 50, [35]),
    *((f'sera_dinov2-large_{data}', 50, [35]) for data in (*DATA, 'refcoco-mixed')),
])
def test_schedules(name, epochs, milestones):
    config = load(name)
    assert config.train_cfg.max_epochs == epochs
    assert [scheduler.milestones for scheduler in config.param_scheduler] == [milestones]
    assert config.auto_scale_lr.base_batch_size == 4 * config.train_dataloader.batch_size == 16
    assert config.sync_bn == 'torch'


def test_large():
    model = build('sera_dinov2-large_refcoco')
    backbone = model.backbone
    assert (len(backbone.tower.blocks), backbone.out_indices) == (24, [8, 16, 23])
    assert list(backbone.adapters) == ['2', '6', '10', '14', '18', '22']
    assert {adapter.down.in_features for adapter in backbone.adapters.values()} == {1024}
    assert [project.conv.in_channels for project in model.neck.project] == [1024] * 3
    assert changes('sera_dinov2-large_refcoco', 'sera_dinov2_refcoco').keys() == {
        'dinov2_weights', 'model.backbone.arch', 'model.backbone.out_indices', 'model.backbone.adapter.indices',
        'model.backbone.init_cfg.checkpoint', 'model.neck.in_channels', 'train_cfg.max_epochs', 'param_scheduler'}


OTHER_TOWERS = {  # architecture, tag of its weights, main config, what else changes in the model
    'dinov3-small': ('vit_small_patch16_dinov3', 'lvd1689m', 'sera_dinov2_refcoco',
                     {'model.neck.in_channels': (384, 384, 384)}),
    'dinov3-base': ('vit_base_patch16_dinov3', 'lvd1689m', 'sera_dinov2_refcoco', {}),
    'dinov3-large': ('vit_large_patch16_dinov3', 'lvd1689m', 'sera_dinov2-large_refcoco', {}),
    'siglip2-base': ('vit_base_patch16_siglip_512', 'v2_webli', 'sera_dinov2_refcoco',
                     {'model.backbone.pos_embed_offset': 0.0, 'model.backbone.pos_embed_antialias': True}),
}


@pytest.mark.parametrize('name', OTHER_TOWERS)
def test_other_towers(name):
    arch, tag, main, others = OTHER_TOWERS[name]
    changed = changes(f'sera_{name}_refcoco', main)
    weights = f'pretrained/{arch}.{tag}/model.safetensors'
    assert source_of(weights) == f'https://huggingface.co/timm/{arch}.{tag}/resolve/main/model.safetensors'
    assert changed.pop(f'{name.split("-")[0]}_weights') == weights
    assert {key: value for key, value in changed.items() if key.startswith('model.')} == {
        'model.backbone.arch': arch, 'model.backbone.init_cfg.checkpoint': weights, **others}
    assert {key.split('.')[-1] for key in changed if not key.startswith('model.')} == {
        'input_size', 'letterbox', 'pipeline', 'train_pipeline', 'test_pipeline'}
    backbone = build(f'sera_{name}_refcoco').backbone
    assert load(f'sera_{name}_refcoco').letterbox.size == 32 * backbone.patch_size
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
        build('sera_dinov2_refcoco', **settings)


def test_metafile():
    entries = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    for entry in entries:
        name, metadata = entry['Name'], entry['Metadata']
        assert entry['Config'] == f'configs/sera/{name}.py'
        parameters = [*build(name).parameters()]
        assert metadata['Parameters'] == sum(p.numel() for p in parameters)
        assert metadata['Trained Parameters'] == sum(p.numel() for p in parameters if p.requires_grad)


def test_figures_of_the_metafile_are_those_of_the_readme():
    names, lines = ('mIoU', 'oIoU', 'Pr@50', 'Pr@90'), (FOLDER / 'README.md').read_text().splitlines()
    rows = [line.split() for line in lines if '| both |' in line and '±' in line]
    figures = {row[1]: dict(zip(names, map(float, row[5::4]), strict=True)) for row in rows}
    entries = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    results = next(entry['Results'] for entry in entries if entry['Name'] == 'sera_tiny-168_refshapes')
    assert {result['Dataset'].split()[-1]: result['Metrics'] for result in results} == figures
    assert figures.keys() == {'val', 'testA', 'testB'}
