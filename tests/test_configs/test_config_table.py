"""Which configs there are, and what each says: its data and schedule, or what it changes in another one."""
import re
from unittest.mock import ANY

import pytest
import yaml
from helpers.configs import FOLDER, PATHS, build, changes, load

# Name of the data → folder, splits' author, test split.
DATA = {
    'refcoco': ('refcoco', 'unc', 'val'),
    'refcoco-plus': ('refcoco+', 'unc', 'val'),
    'refcocog-umd': ('refcocog', 'umd', 'test'),
    'refcocog-google': ('refcocog', 'google', 'val'),
}
# Model → size of its images, batch on all GPUs, milestones and epochs, those on RefCOCOg (google), data of long texts.
LONG, SHORT, SEGVLM = ([35, 55], 65), ([35], 50), ([15, 30], 50)
MAIN = {
    'cris_r50': (416, 64, SHORT, SHORT, 'refcocog'),
    'cris_r101': (416, 64, SHORT, SHORT, 'refcocog'),
    'segvlm_r101': (416, 64, SEGVLM, SEGVLM, 'refcocog'),
    'detris_dinov2': (448, 32, LONG, SHORT, 'refcocog-umd'),
    'detris_dinov2-large': (448, 32, SHORT, SHORT, 'refcocog-umd'),
    'sera_dinov2': (448, 16, LONG, SHORT, 'refcocog-umd'),
    'sera_dinov2-large': (448, 16, SHORT, SHORT, 'refcocog-umd'),
}
MIXED = {'detris_dinov2-large': 17, 'sera_dinov2': 22, 'sera_dinov2-large': 22}  # model → tokens of a text

LARGE = {
    'dinov2_weights': 'pretrained/dinov2_vitl14_reg4_pretrain.pth',
    'model.backbone.arch': 'vit_large_patch14_reg4_dinov2',
    'model.backbone.out_indices': (8, 16, 23),
    'model.backbone.adapter.indices': (2, 6, 10, 14, 18, 22),
    'model.backbone.init_cfg.checkpoint': 'pretrained/dinov2_vitl14_reg4_pretrain.pth',
    'model.neck.in_channels': (1024, 1024, 1024),
    'train_cfg.max_epochs': 50,
    'param_scheduler': [dict(type='MultiStepLR', milestones=[35], gamma=0.1, by_epoch=True)],
}
PIPELINES = dict.fromkeys(('train_pipeline', 'test_pipeline', *(
    f'{split}_dataloader.dataset.pipeline' for split in ('train', 'val', 'test'))), ANY)
BCE = [dict(type='mmrefseg.BinaryCrossEntropyLoss')]

EXPERTS = ('spatial', 'contextual', 'boundary', 'shape')
LOSSES = {'z': 'RouterZLoss', 'balance': 'LoadBalanceLoss', 'assignment': 'AssignmentLoss'}
NO_ADAPTER, NO_FUSION = {'model.backbone.adapter': None}, {'model.neck.experts': ()}
COMPONENTS = {'baseline': NO_ADAPTER | NO_FUSION, 'adapter-only': NO_FUSION, 'fusion-only': NO_ADAPTER}
SERA = {
    **COMPONENTS,
    **{f'fusion-top-{k}': {'model.neck.top_k': k} for k in (1, 2, 3)},
    'adapter-sparse': {'model.backbone.adapter.top_k': 1},
    'fusion-no-noise': {'model.neck.noise_std': 0.0},
    'both-sparse': {'model.backbone.adapter.top_k': 1, 'model.neck.top_k': 2},
    'adapter-no-boundary': {'model.backbone.adapter.experts': ('spatial', )},
    'adapter-no-spatial': {'model.backbone.adapter.experts': ('boundary', )},
    **{f'fusion-no-{name}': {'model.neck.experts': tuple(e for e in EXPERTS if e != name)} for name in EXPERTS},
    **{f'no-{name}-loss': {'model.routing_losses': [
        config for config in load('sera_dinov2_refcoco').model.routing_losses if config.type != loss
    ]} for name, loss in LOSSES.items()},
}
# Rows of SegVLM's ablation from the last to the first, and what each changes in the one before.
SEGVLM_ROWS = {
    'raf-deformable': {'model.decode_head.projector.se_ratio': None},
    'raf': {'model.decode_head.projector.dcn': None, 'model.decode_head.projector.residual': False},
    'baseline': {'model.decode_head.loss_decode': BCE},
}
SEGVLM_ABLATIONS = {  # size and data → the config with everything
    ('r101', 'refcoco'): 'segvlm_r101_refcoco',
    ('r101', 'phrasecut'): 'segvlm_r101_phrasecut',
    ('tiny', 'refshapes'): 'segvlm_tiny_raf-deformable-se_refshapes',
}


def other_tower(arch, tag, size, **others):
    checkpoint = f'pretrained/{arch}.{tag}/model.safetensors'
    return {
        'model.backbone.arch': arch,
        'model.backbone.init_cfg.checkpoint': checkpoint,
        f'{"siglip2" if "siglip" in arch else "dinov3"}_weights': checkpoint,
        'input_size': size, 'letterbox': dict(type='Letterbox', size=size), **PIPELINES,
        **{f'model.{key.replace("__", ".")}': value for key, value in others.items()},
    }


def differing():
    """Rows of path, the other config's name, and what differs from it."""
    yield 'cris/cris_r50_refcoco', 'cris_r101_refcoco', {
        **dict.fromkeys(('clip_arch', 'model.text_encoder.arch', 'model.backbone.arch'), 'RN50-quickgelu'),
        **dict.fromkeys(('clip_weights', 'model.text_encoder.init_cfg.checkpoint',
                         'model.backbone.init_cfg.checkpoint'),
                        'pretrained/resnet50_clip.openai/open_clip_model.safetensors'),
        **dict.fromkeys(('clip_channels', 'model.neck.sentence_channels', 'model.decode_head.sentence_channels'), 1024),
        'model.neck.in_channels': (512, 1024, 1024)}
    for data in DATA:
        # The projector, the loss, the initialisation of what is new, and when the learning rate falls.
        yield f'segvlm/segvlm_r101_{data}', f'cris_r101_{data}', dict.fromkeys((
            'kaiming', 'model.neck.init_cfg', 'model.decode_head.init_cfg', 'model.decode_head.projector',
            'model.decode_head.loss_decode', 'param_scheduler'), ANY)
    for (size, data), before in SEGVLM_ABLATIONS.items():
        for row, changed in SEGVLM_ROWS.items():
            yield f'segvlm/ablation/segvlm_{size}_{row}_{data}', before, changed
            before = f'segvlm_{size}_{row}_{data}'
    for name, changed in (('raf', {'loss_decode': [dict(type='RAFLoss')]}),
                          ('deformable-se', {'projector': dict(type='DeformableSEProjector')})):
        yield f'segvlm/crossover/sera_dinov2_{name}_refcoco', 'sera_dinov2_refcoco', {
            f'model.decode_head.{key}': value for key, value in changed.items()}

    for method in ('sera', 'detris'):
        yield f'{method}/{method}_dinov2-large_refcoco', f'{method}_dinov2_refcoco', LARGE
    for name, changed in SERA.items():
        yield f'sera/ablation/sera_dinov2_{name}_refcoco', 'sera_dinov2_refcoco', changed
    for name, changed in COMPONENTS.items():
        for data in ('refcoco-plus', 'refcocog-google'):
            yield f'sera/ablation/sera_dinov2_{name}_{data}', f'sera_dinov2_{data}', changed
        yield f'sera/ablation/sera_tiny-168_{name}_refshapes', 'sera_tiny-168_refshapes', changed

    dinov3, large = 'vit_{}_patch16_dinov3', 'sera_dinov2-large_refcoco'
    yield 'sera/sera_dinov3-small_refcoco', 'sera_dinov2_refcoco', other_tower(
        dinov3.format('small'), 'lvd1689m', 512, neck__in_channels=(384, 384, 384))
    yield 'sera/sera_dinov3-base_refcoco', 'sera_dinov2_refcoco', other_tower(dinov3.format('base'), 'lvd1689m', 512)
    yield 'sera/sera_dinov3-large_refcoco', large, other_tower(dinov3.format('large'), 'lvd1689m', 512)
    yield 'sera/sera_siglip2-base_refcoco', 'sera_dinov2_refcoco', other_tower(
        'vit_base_patch16_siglip_512', 'v2_webli', 512,
        backbone__pos_embed_offset=0.0, backbone__pos_embed_antialias=True)


DIFFERING = list(differing())
# Folders whose configs all stand in this table, and those that are compared in a test of their own.
IN_FULL = ('cris', 'detris', 'segvlm', 'sera/ablation')
ELSEWHERE = {'segvlm/segvlm_r101_phrasecut', 'segvlm/segvlm_tiny_refshapes', 'segvlm/segvlm_tiny_refshapes-phrasecut',
             'segvlm/ablation/segvlm_tiny_raf-deformable-se_refshapes',
             'segvlm/ablation/segvlm_tiny_pretraining_refshapes',
             'sera/ablation/sera_tiny-168_pretraining_refshapes'}


def test_the_table_knows_every_config():
    known = {path for path, *_ in DIFFERING} | ELSEWHERE
    known |= {f'{model.split("_")[0]}/{model}_{data}' for model in MAIN for data in DATA}
    known |= {f'{model.split("_")[0]}/{model}_refcoco-mixed' for model in MIXED}
    assert known <= set(PATHS)
    assert {path for path in PATHS if path.startswith(IN_FULL)} == {path for path in known if path.startswith(IN_FULL)}


@pytest.mark.parametrize(('path', 'other', 'changed'), DIFFERING, ids=[path for path, *_ in DIFFERING])
def test_nothing_differs_but_what_the_name_says(path, other, changed):
    assert changes(path, other) == changed


@pytest.mark.parametrize('data', DATA)
@pytest.mark.parametrize('model', MAIN)
def test_data(model, data):
    config = load(f'{model}_{data}')
    folder, split_by, test_split = DATA[data]
    for mode, split in (('train', 'train'), ('val', 'val'), ('test', test_split)):
        dataset = config[f'{mode}_dataloader'].dataset
        assert (dataset.data_root, dataset.split_by, dataset.split) == (f'data/{folder}', split_by, split)
        assert dataset.data_prefix.img_path == '../coco/train2014'
        assert [step.size for step in dataset.pipeline if step.type == 'Letterbox'] == [MAIN[model][0]]
    assert config.model.text_encoder.num_tokens == (22 if data.startswith(MAIN[model][-1]) else 17)
    tails = {key.split('.')[-1] for key in changes(f'{model}_{data}', f'{model}_refcoco')}
    assert tails <= {'data_root', 'split_by', 'split', 'num_tokens', 'max_epochs', 'param_scheduler'}


@pytest.mark.parametrize('model', MIXED)
def test_mixed_data(model):
    config = load(f'{model}_refcoco-mixed')
    sources = config.train_dataloader.dataset.datasets
    assert [(source.data_root, source.split_by) for source in sources] == [
        ('data/refcoco', 'unc'), ('data/refcoco+', 'unc'), ('data/refcocog', 'umd')]
    assert (config.val_dataloader.dataset.data_root, config.val_dataloader.dataset.split) == ('data/refcoco', 'val')
    assert config.model.text_encoder.num_tokens == MIXED[model]


@pytest.mark.parametrize(('model', 'data'), [
    *((model, data) for model in MAIN for data in DATA), *((model, 'refcoco-mixed') for model in MIXED)])
def test_schedule(model, data):
    config = load(f'{model}_{data}')
    _, batch, usual, google, _ = MAIN[model]
    milestones, epochs = {'refcocog-google': google, 'refcoco-mixed': SHORT}.get(data, usual)
    assert config.train_cfg.max_epochs == epochs
    assert config.param_scheduler == [dict(type='MultiStepLR', milestones=milestones, gamma=0.1, by_epoch=True)]
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
    assert 'clip_grad' not in config.optim_wrapper
    assert 4 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == batch
    assert config.sync_bn == 'torch'


METAFILES = {method: yaml.safe_load((FOLDER / method / 'metafile.yml').read_text())['Models']
             for method in ('cris', 'detris', 'segvlm', 'sera')}


@pytest.mark.parametrize('method', ['cris', 'detris', 'segvlm'])
def test_the_metafile_knows_every_model(method):
    names = {path.split('/')[1] for path in PATHS if re.fullmatch(rf'{method}/[^/]+', path)}
    assert {model['Name'] for model in METAFILES[method]} == names


def test_the_index_names_every_metafile():
    index = yaml.safe_load((FOLDER.parent / 'model-index.yml').read_text())
    assert sorted(index['Import']) == sorted(f'configs/{method}/metafile.yml' for method in METAFILES)
    assert {path.parent.name for path in FOLDER.glob('*/metafile.yml')} == set(METAFILES)


@pytest.mark.parametrize(('method', 'model'), [
    pytest.param(method, model, id=model['Name']) for method, models in METAFILES.items() for model in models])
def test_metafile(method, model):
    name, metadata = model['Name'], model['Metadata']
    assert model['Config'] == f'configs/{method}/{name}.py'
    parameters = [*build(name).parameters()]
    assert metadata['Parameters'] == sum(p.numel() for p in parameters)
    assert metadata['Trained Parameters'] == sum(p.numel() for p in parameters if p.requires_grad)
    if 'tiny' not in name:
        batch = next(row[1] for size, row in MAIN.items() if size.startswith(method))
        assert (metadata['Epochs'], metadata['Batch Size']) == (load(name).train_cfg.max_epochs, batch)


@pytest.mark.parametrize('method', ['cris', 'detris', 'segvlm'])
def test_the_readme_links_to_every_config(method):
    text = (FOLDER / method / 'README.md').read_text()
    assert not [path for path in PATHS if path.startswith(f'{method}/')
                and f'{path.removeprefix(f"{method}/")}.py)' not in text]
