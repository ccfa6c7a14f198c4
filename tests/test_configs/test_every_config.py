"""What holds for each config: its model builds, its parts are known and fit each other."""
import re

import pytest
from helpers.configs import NAMES, build, load
from mmengine.evaluator import Evaluator
from mmseg.models import EncoderDecoder

from mmrefseg.models import ReferringSegmentor
from mmrefseg.registry import DATASETS, HOOKS, LOOPS, OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, TRANSFORMS

# Semantic segmentors, on mmseg's data and schedule.
OF_MMSEG = {'sera-fusion_upernet-r50_ade20k', 'deformable-se-projector_fcn-r18_cityscapes'}
OURS = [name for name in NAMES if name not in OF_MMSEG]


def test_all_configs_are_found():
    assert {'sera_dinov2_refcoco', 'sera_tiny_refshapes', *OF_MMSEG} <= set(NAMES)
    assert len({*NAMES}) == len(NAMES)


def dataset_of(config, split):
    """The data set of a loader; that inside, where it is one around another."""
    dataset = config[f'{split}_dataloader'].dataset
    return dataset.get('dataset', dataset)


@pytest.mark.parametrize('name', NAMES)
def test_model_builds(name):
    model = build(name)
    assert isinstance(model, EncoderDecoder if name in OF_MMSEG else ReferringSegmentor)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) > 0


@pytest.mark.parametrize('name', OURS)
def test_data_and_metrics_resolve(name):
    config = load(name)
    assert config.default_scope == 'mmrefseg'
    for split in ('train', 'val', 'test'):
        dataset = dataset_of(config, split)
        assert DATASETS.get(config[f'{split}_dataloader'].dataset.type) is not None
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
    orders = {split: [step.type for step in dataset_of(config, split).pipeline]
              for split in ('train', 'val', 'test')}
    letterbox = 'FastLetterbox' if 'lmdb' in name else 'Letterbox'
    assert orders['train'].index('LoadReferringMask') < orders['train'].index(letterbox)
    assert 'SampleSentence' in orders['train']
    for split in ('val', 'test'):
        assert orders[split].index('LoadReferringMask') > orders[split].index('Letterbox')
        assert dataset_of(config, split).get('unit', 'sentence') == 'sentence'
    assert dataset_of(config, 'train').unit == 'ref'
    sizes = {step.size for split in orders for step in dataset_of(config, split).pipeline if 'size' in step}
    assert len(sizes) == 1
    backbone = config.model.backbone
    patch = re.search(r'patch(\d+)', str(backbone.arch)) if backbone.type == 'PlainViT' else None
    assert sizes.pop() % (int(patch[1]) if patch else 32) == 0
