import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder

import mmrefseg
from mmrefseg.models import BinaryDiceLoss, ReferringSegmentor
from mmrefseg.models.layers import ExpertMixture
from mmrefseg.registry import DATASETS, HOOKS, LOOPS, MODELS, OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, TRANSFORMS
from mmrefseg.utils.parameters import count_parameters

FOLDER = Path(mmrefseg.config_path('sera_dinov2_refcoco')).parents[1]
CONFIGS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob('*.py') if '_base_' not in path.parts)
# Semantic segmentors, on mmseg's data and schedule.
OF_MMSEG = {'mixing/sera-fusion_upernet-r50_ade20k.py', 'mixing/deformable-se-projector_fcn-r18_cityscapes.py'}
OURS = [name for name in CONFIGS if name not in OF_MMSEG]
FULL, TINY = 'sera/sera_dinov2_refcoco.py', 'sera/sera_tiny_refshapes.py'


@pytest.fixture(autouse=True)
def scope():
    mmrefseg.register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


def load(name):
    return Config.fromfile(FOLDER / name)


def build_on_meta(name):
    """The model without the cost of its memory, where its parts allow that."""
    config = load(name)
    if 'mmdet.' in str(config.model):
        pytest.importorskip('mmdet.models')
    # mmpretrain's backbones look at values of tensors while they are built.
    device = 'cpu' if config.model.backbone.type.startswith('mmpretrain.') else 'meta'
    with torch.device(device), DefaultScope.overwrite_default_scope(config.default_scope):
        return MODELS.build(config.model)


def test_all_configs_are_found():
    assert {FULL, TINY, *OF_MMSEG} <= set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_model_builds(name):
    model = build_on_meta(name)
    assert isinstance(model, EncoderDecoder if name in OF_MMSEG else ReferringSegmentor)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) > 0


@pytest.mark.parametrize('name', OURS)
def test_data_and_metrics_resolve(name):
    config = load(name)
    assert config.default_scope == 'mmrefseg'
    for split in ('train', 'val', 'test'):
        dataset = config[f'{split}_dataloader'].dataset
        assert DATASETS.get(dataset.type) is not None
        for transform in dataset.pipeline:
            TRANSFORMS.build(transform)
    for evaluator in (config.val_evaluator, config.test_evaluator):
        assert Evaluator(evaluator).metrics


@pytest.mark.parametrize('name', OURS)
def test_schedule_and_hooks_resolve(name):
    config = load(name)
    for hook in config.default_hooks.values():
        HOOKS.build(hook)
    assert OPTIM_WRAPPERS.get(config.optim_wrapper.type) is not None
    assert OPTIMIZERS.get(config.optim_wrapper.optimizer.type) is not None
    assert all(PARAM_SCHEDULERS.get(scheduler.type) is not None for scheduler in config.param_scheduler)
    assert all(LOOPS.get(config[f'{split}_cfg'].type) is not None for split in ('train', 'val', 'test'))


@pytest.mark.parametrize('name', OURS)
def test_pieces_fit_each_other(name):
    """The mask must be loaded ahead of the letterbox in training and behind it in testing; sizes agree."""
    config = load(name)
    orders = {split: [step.type for step in config[f'{split}_dataloader'].dataset.pipeline]
              for split in ('train', 'val', 'test')}
    letterbox = 'FastLetterbox' if 'lmdb' in name else 'Letterbox'
    assert orders['train'].index('LoadReferringMask') < orders['train'].index(letterbox)
    assert 'SampleSentence' in orders['train']
    for split in ('val', 'test'):
        assert orders[split].index('LoadReferringMask') > orders[split].index('Letterbox')
        assert config[f'{split}_dataloader'].dataset.get('unit', 'sentence') == 'sentence'
    assert config.train_dataloader.dataset.unit == 'ref'
    sizes = {step.size for split in orders for step in config[f'{split}_dataloader'].dataset.pipeline if 'size' in step}
    assert len(sizes) == 1
    backbone = config.model.backbone
    patch = re.search(r'patch(\d+)', str(backbone.arch)) if backbone.type == 'PlainViT' else None
    assert sizes.pop() % (int(patch[1]) if patch else 32) == 0


def classes(name):
    return {type(module) for module in build_on_meta(name).modules()}


def test_tiny_and_full_size_have_the_same_classes():
    assert classes(TINY) - {BinaryDiceLoss} == classes(FULL)


@pytest.mark.parametrize('name', [TINY, FULL])
def test_parts_of_sera(name):
    model = build_on_meta(name)
    assert len(model.backbone.adapters) >= 2
    assert len(model.backbone.out_indices) == len(model.neck.mixtures) == 3
    assert all(list(mixture.experts) == ['spatial', 'contextual', 'boundary', 'shape']
               for mixture in model.neck.mixtures)
    assert [loss.loss_name for loss in model.routing_losses] == [
        'loss_router_z', 'loss_router_balance', 'loss_router_assignment']
    assert sum(isinstance(module, ExpertMixture) for module in model.modules()) == 3 + len(model.backbone.adapters)


def test_published_values():
    config, model = load(FULL), build_on_meta(FULL)
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


def test_batch_of_16_on_four_gpus():
    config = load(FULL)
    assert 4 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 16


def test_less_than_a_hundredth_of_the_pretrained_parameters_train():
    model = build_on_meta(FULL)
    for part, size in ((model.backbone, 86.6e6), (model.text_encoder, 63.4e6)):  # DINOv2-B/14, CLIP's transformer
        pretrained, new = count_parameters(part)
        assert pretrained.total == pytest.approx(size, rel=0.001)
        assert 0 < pretrained.trainable < 0.01 * pretrained.total
        assert new.trainable == new.total > 0


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
    done = subprocess.run([sys.executable, '-c', STEP, str(FOLDER / FULL)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split('peak')[-1]) < 8
