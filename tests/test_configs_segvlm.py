"""What the configs of SegVLM set, beyond what test_configs.py says of all."""
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.models import DeformableSEProjector, RAFLoss
from mmrefseg.models.layers.deformable_conv import DeformableConv
from mmrefseg.models.layers.projector import UpsampleProjector
from mmrefseg.registry import DATASETS, MODELS

FOLDER = Path(mmrefseg.config_path('segvlm_r101_refcoco')).parent
DATA = ('refcoco', 'refcoco-plus', 'refcocog-umd', 'refcocog-google')
FULL, TINY = [f'segvlm_r101_{data}' for data in (*DATA, 'phrasecut')], 'segvlm_tiny_refshapes'
TINIES = TINY, 'segvlm_tiny_refshapes-phrasecut'
BCE = [dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True)]
# The rows from the last to the first, and what each changes in the one before.
ROWS = {
    'raf-deformable': {'model.decode_head.projector.se_ratio': None},
    'raf': {'model.decode_head.projector.dcn': None, 'model.decode_head.projector.residual': False},
    'baseline': {'model.decode_head.loss_decode': BCE},
}
SIZES = {'r101': 'refcoco', 'tiny': 'refshapes'}
ABLATIONS = [*SIZES.items(), ('r101', 'phrasecut')]
CROSSOVER = {
    'sera_dinov2_raf_refcoco': {'model.decode_head.loss_decode': [dict(type='RAFLoss')]},
    'sera_dinov2_deformable-se_refcoco': {'model.decode_head.projector': dict(type='DeformableSEProjector')},
}


@pytest.fixture(autouse=True)
def scope():
    mmrefseg.register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


def load(name):
    return Config.fromfile(mmrefseg.config_path(name))


def build_on_meta(name):
    with torch.device('meta'):
        return MODELS.build(load(name).model)


def differences(ours, theirs, prefix=''):
    """Dotted key → value in ``ours`` of everything that is not equal in ``theirs``."""
    found = {}
    for key in {**ours, **theirs}:
        a, b = ours.get(key, 'absent'), theirs.get(key, 'absent')
        if isinstance(a, dict) and isinstance(b, dict):
            found |= differences(a, b, f'{prefix}{key}.')
        elif a != b:
            found[prefix + key] = a
    return found


def changes(name, base):
    return differences(load(name).to_dict(), load(base).to_dict())


def test_all_configs_are_there():
    names = {path.relative_to(FOLDER).with_suffix('').as_posix() for path in FOLDER.rglob('*.py')}
    ablation = {f'ablation/segvlm_{size}_{row}_{data}' for size, data in ABLATIONS for row in ROWS}
    ablation |= {f'ablation/segvlm_tiny_{name}_refshapes' for name in ('raf-deformable-se', 'pretraining')}
    assert names == {*FULL, *TINIES, *ablation, *(f'crossover/{name}' for name in CROSSOVER)}


@pytest.mark.parametrize('data', DATA)
def test_what_differs_from_cris(data):
    """The projector, the loss, the initialisation of what is new, and when the learning rate falls."""
    name, cris = f'segvlm_r101_{data}', f'cris_r101_{data}'
    assert changes(name, cris).keys() == {
        'kaiming', 'model.neck.init_cfg', 'model.decode_head.init_cfg', 'model.decode_head.projector',
        'model.decode_head.loss_decode', 'param_scheduler'}
    config = load(name)
    assert config.train_cfg.max_epochs == 50
    assert config.param_scheduler == [dict(type='MultiStepLR', milestones=[15, 30], gamma=0.1, by_epoch=True)]
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
    assert 'clip_grad' not in config.optim_wrapper
    assert 4 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 64
    assert config.sync_bn == 'torch'
    assert [step.size for step in config.train_dataloader.dataset.pipeline if step.type == 'Letterbox'] == [416]


DATA_KEYS = {'data_root', 'dataset', *(f'{mode}_dataloader.dataset' for mode in ('train', 'val', 'test')),
             'val_evaluator', 'test_evaluator'}


@pytest.mark.parametrize(('name', 'splits'), [
    ('segvlm_r101_phrasecut', ['train', 'val_miniv', 'test']),
    ('segvlm_tiny_refshapes-phrasecut', ['train', 'val', 'test'])])
def test_phrasecut(name, splits):
    """Nothing but the data and the figures differ."""
    changed = changes(name, name.replace('phrasecut', 'refcoco').removesuffix('-refcoco'))
    assert not {key for key in changed if not any(key.startswith(data) for data in DATA_KEYS)}
    config = load(name)
    datasets = [config[f'{mode}_dataloader'].dataset for mode in ('train', 'val', 'test')]
    assert [dataset.split for dataset in datasets] == splits
    assert {dataset.type for dataset in datasets} == {'PhraseCutDataset'}
    assert config.val_evaluator == config.test_evaluator == dict(type='PhraseCutMetric')


def test_phrasecut_from_files_to_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load('segvlm_tiny_refshapes-phrasecut')
    make_refshapes(config.data_root, {'train': 2, 'test': 2}, layout='phrasecut')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    samples = [dataset[place]['data_samples'] for place in range(len(dataset))]
    for sample in samples:
        sample.pred_sem_seg = sample.gt_sem_seg
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(samples, None)
    assert set(evaluator.evaluate(len(samples)).values()) == {100.0}
    assert DATASETS.build(config.train_dataloader.dataset)[0]['inputs'].shape == (3, 128, 128)


@pytest.mark.parametrize('name', [FULL[0], TINY])
def test_parts(name):
    head = build_on_meta(name).decode_head
    assert isinstance(head.projector, DeformableSEProjector)
    for stage in (head.projector.conv1, head.projector.conv2):
        assert isinstance(stage.conv, DeformableConv)
        assert not stage.conv.modulated
        assert None not in (stage.residual, stage.excite)
    [loss] = head.loss_decode
    assert isinstance(loss, RAFLoss)
    assert loss.detach_weight
    assert (loss.pixel_weight, loss.reduction, loss.alpha, loss.gamma) == ('error', 'mean', 0.25, 2.0)
    assert (loss.lambda_bce, loss.lambda_focal, loss.lambda_dice) == (1, 1, 1)


def test_tiny_and_full_size_have_the_same_classes():
    assert {type(part) for part in build_on_meta(TINY).modules()} == {
        type(part) for part in build_on_meta(FULL[0]).modules()}


def test_the_tiny_ablation_starts_from_pretrained_encoders():
    last, main = load('segvlm_tiny_raf-deformable-se_refshapes'), load(TINY)
    assert differences(last.model.to_dict(), main.model.to_dict()) == {
        f'{part}.init_cfg': dict(type='Pretrained', checkpoint=last.clip_weights)
        for part in ('text_encoder', 'backbone')}
    assert last.optim_wrapper.paramwise_cfg == load(FULL[0]).optim_wrapper.paramwise_cfg
    pretraining, first = load('segvlm_tiny_pretraining_refshapes'), load('segvlm_tiny_baseline_refshapes')
    changed = differences(pretraining.model.to_dict(), first.model.to_dict())
    assert len(changed.pop('decode_head.loss_decode')) == 2
    assert changed == {'text_encoder.init_cfg': None, 'backbone.init_cfg': None}
    assert pretraining.train_dataloader.dataset.data_root == 'data/refshapes_pretraining'


@pytest.mark.parametrize(('size', 'data'), ABLATIONS)
def test_each_row_of_the_ablation_changes_one_thing(size, data):
    before = f'segvlm_{size}_{data}' if size == 'r101' else f'segvlm_{size}_raf-deformable-se_{data}'
    for row, changed in ROWS.items():
        name = f'segvlm_{size}_{row}_{data}'
        assert changes(name, before) == changed
        before = name


@pytest.mark.parametrize('size', SIZES)
def test_the_first_rows_have_the_projector_of_cris(size):
    for row in ('raf', 'baseline'):
        head = build_on_meta(f'segvlm_{size}_{row}_{SIZES[size]}').decode_head
        with torch.device('meta'):
            cris = UpsampleProjector(head.projector.conv1.in_channels, head.projector.conv2.out_channels)
        shapes = [{name: value.shape for name, value in projector.state_dict().items()}
                  for projector in (head.projector, cris)]
        assert shapes[0] == shapes[1]


def test_the_baseline_is_cris():
    """In its parts and names; training differs in the schedule and in the initialisation."""
    baseline, cris = (build_on_meta(name) for name in ('segvlm_r101_baseline_refcoco', 'cris_r101_refcoco'))
    assert {name: value.shape for name, value in baseline.state_dict().items()} == {
        name: value.shape for name, value in cris.state_dict().items()}


@pytest.mark.parametrize('name', CROSSOVER)
def test_crossover(name):
    assert changes(name, 'sera_dinov2_refcoco') == CROSSOVER[name]
    head, main = (build_on_meta(config).decode_head for config in (name, 'sera_dinov2_refcoco'))
    if 'raf' in name:
        assert isinstance(head.loss_decode[0], RAFLoss)
    else:
        assert isinstance(head.projector, DeformableSEProjector)
        assert head.state_dict().keys() > main.state_dict().keys()


def test_metafile():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    assert {model['Name'] for model in models} == {*FULL, *TINIES}
    for model in models:
        name, metadata = model['Name'], model['Metadata']
        config = load(name)
        assert model['Config'] == f'configs/segvlm/{name}.py'
        parameters = [*build_on_meta(name).parameters()]
        assert metadata['Parameters'] == sum(p.numel() for p in parameters)
        assert metadata['Trained Parameters'] == sum(p.numel() for p in parameters if p.requires_grad)
        if name not in TINIES:
            assert (metadata['Epochs'], metadata['Batch Size']) == (config.train_cfg.max_epochs, 64)


def test_readme_links_to_every_config():
    text = (FOLDER / 'README.md').read_text()
    assert not [path.name for path in FOLDER.rglob('*.py') if f'{path.relative_to(FOLDER).as_posix()})' not in text]
