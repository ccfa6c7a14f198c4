"""What the configs of SegVLM set, beyond the table."""
import pytest
import torch
from helpers.configs import build, changes, differences, load, part_classes
from mmengine.evaluator import Evaluator

from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.models import DeformableSEProjector, RAFLoss
from mmrefseg.models.layers.deformable_conv import DeformableConv
from mmrefseg.models.layers.projector import UpsampleProjector
from mmrefseg.registry import DATASETS

FULL, TINY = 'segvlm_r101_refcoco', 'segvlm_tiny_refshapes'
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
    samples = [dataset[index]['data_samples'] for index in range(len(dataset))]
    for sample in samples:
        sample.pred_sem_seg = sample.gt_sem_seg
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(samples, None)
    assert set(evaluator.evaluate(len(samples)).values()) == {100.0}
    assert DATASETS.build(config.train_dataloader.dataset)[0]['inputs'].shape == (3, 128, 128)


@pytest.mark.parametrize('name', [FULL, TINY])
def test_parts(name):
    head = build(name).decode_head
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
    assert part_classes(TINY) == part_classes(FULL)


def test_the_tiny_ablation_starts_from_pretrained_encoders():
    last, main = load('segvlm_tiny_raf-deformable-se_refshapes'), load(TINY)
    assert differences(last.model.to_dict(), main.model.to_dict()) == {
        f'{part}.init_cfg': dict(type='Pretrained', checkpoint=last.clip_weights)
        for part in ('text_encoder', 'backbone')}
    assert last.optim_wrapper.paramwise_cfg == load(FULL).optim_wrapper.paramwise_cfg
    pretraining, first = load('segvlm_tiny_pretraining_refshapes'), load('segvlm_tiny_baseline_refshapes')
    changed = differences(pretraining.model.to_dict(), first.model.to_dict())
    assert len(changed.pop('decode_head.loss_decode')) == 2
    assert changed == {'text_encoder.init_cfg': None, 'backbone.init_cfg': None}
    assert pretraining.train_dataloader.dataset.data_root == 'data/refshapes_pretraining'


@pytest.mark.parametrize(('size', 'data'), [('r101', 'refcoco'), ('tiny', 'refshapes')])
def test_the_first_rows_have_the_projector_of_cris(size, data):
    for row in ('raf', 'baseline'):
        head = build(f'segvlm_{size}_{row}_{data}').decode_head
        with torch.device('meta'):
            cris = UpsampleProjector(head.projector.conv1.in_channels, head.projector.conv2.out_channels)
        shapes = [{name: value.shape for name, value in projector.state_dict().items()}
                  for projector in (head.projector, cris)]
        assert shapes[0] == shapes[1]


def test_the_baseline_is_cris():
    """In its parts and names; training differs in the schedule and in the initialisation."""
    baseline, cris = (build(name) for name in ('segvlm_r101_baseline_refcoco', 'cris_r101_refcoco'))
    assert {name: value.shape for name, value in baseline.state_dict().items()} == {
        name: value.shape for name, value in cris.state_dict().items()}


@pytest.mark.parametrize('name', ['sera_dinov2_raf_refcoco', 'sera_dinov2_deformable-se_refcoco'])
def test_crossover(name):
    head, main = (build(config).decode_head for config in (name, 'sera_dinov2_refcoco'))
    if 'raf' in name:
        assert isinstance(head.loss_decode[0], RAFLoss)
    else:
        assert isinstance(head.projector, DeformableSEProjector)
        assert head.state_dict().keys() > main.state_dict().keys()
