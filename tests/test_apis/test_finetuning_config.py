"""Configs of fine-tunings, and one that is trained."""
import json
import shutil

import pytest
import torch
from helpers.configs import load
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image

from mmrefseg.apis.finetuning_config import OwnData, config_of, finetune_config, look_at
from mmrefseg.checkpoints.module_weights import checkpoint_bytes
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import DATASETS, HOOKS, MODELS

SQUARE = [[2, 2, 40, 2, 40, 40, 2, 40]]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Six objects to train on, two to validate on, of which one isn't there."""
    folder = tmp_path_factory.mktemp('own') / 'my cups'
    (folder / 'images').mkdir(parents=True)
    (folder / 'annotations').mkdir()
    for split, number in (('train', 6), ('val', 2)):
        lines = []
        for index in range(number):
            name = f'{split}_{index}.png'
            Image.new('RGB', (64, 48), (40 * index, 90, len(split))).save(folder / 'images' / name)
            lines.append({'image': name, 'expressions': ['the cup', f'cup {index}'], 'mask': SQUARE})
        if split == 'val':
            lines[-1].update(mask=None)
        (folder / f'annotations/{split}.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    return folder


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Weights of the tiny SERA, as a training leaves them."""
    path = tmp_path_factory.mktemp('run') / 'iter_9.pth'
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(load('sera_tiny_refshapes').model)
    path.write_bytes(checkpoint_bytes(dict(meta={}, state_dict=model.state_dict())))
    (path.parent / 'sera_tiny_refshapes.py').write_text('raise SystemExit("nobody runs this")')
    return path


def test_what_is_in_a_folder(folder, tmp_path):
    assert look_at(folder) == OwnData(folder, 6, ['val'], True)
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'images').symlink_to(folder / 'images')
    (tmp_path / 'annotations/train.jsonl').write_bytes((folder / 'annotations/train.jsonl').read_bytes())
    with pytest.raises(InputError, match='has the split train alone'):
        look_at(tmp_path)
    (tmp_path / 'annotations/train.jsonl').rename(tmp_path / 'annotations/val.jsonl')
    with pytest.raises(MissingInputError, match='train.jsonl is missing'):
        look_at(tmp_path)


@pytest.mark.parametrize('name', ['--cfg-options', '-o', '.hidden'])
def test_splits_that_commands_would_take_for_options(folder, tmp_path, name):
    """Others may have made the folder, and the names of its splits go to the command that tests."""
    shutil.copytree(folder, tmp_path / 'own')
    shutil.copy(folder / 'annotations/val.jsonl', tmp_path / f'own/annotations/{name}.jsonl')
    shutil.copy(folder / 'annotations/val.jsonl', tmp_path / 'own/annotations/default_hooks.x.type=os.system.jsonl')
    with pytest.raises(InputError, match="must be a split's name"):
        look_at(tmp_path / 'own')


def test_the_config_is_known_by_its_name_alone(checkpoint, tmp_path):
    assert config_of(checkpoint).endswith('configs/sera/sera_tiny_refshapes.py')
    with pytest.raises(InputError, match='name it with --config'):
        config_of(tmp_path / 'a.pth')


def test_settings_are_those_of_the_model_and_of_the_schedule(folder):
    base = load('sera_tiny_refshapes')
    config = finetune_config('sera_tiny_refshapes', look_at(folder), epochs=6, lr_scale=0.1, tune='norm_bias')
    assert config.optim_wrapper.optimizer.lr == pytest.approx(0.1 * base.optim_wrapper.optimizer.lr)
    assert config.optim_wrapper.type == base.optim_wrapper.type
    assert config.model.backbone.tuning == config.model.text_encoder.tuning == 'norm_bias'
    assert base.model.backbone.tuning == 'all', 'the base stays as it is'
    assert config.train_cfg.max_epochs == config.param_scheduler[1].end == 6
    assert [scheduler.end for scheduler in config.param_scheduler] == [config.param_scheduler[1].begin, 6]
    assert config.train_dataloader.batch_size == 6, 'no batch would be whole'
    assert config.train_dataloader.sampler == dict(type='ImageGroupsSampler'), 'which the base has for iterations'
    sizes = {step['size'] for name in ('train', 'val', 'test')
             for step in config[f'{name}_dataloader'].dataset.pipeline if 'size' in step}
    assert sizes == {112}
    assert [metric.type for metric in config.test_evaluator] == ['ReferringIoUMetric', 'GRESMetric']
    for hook in (*config.default_hooks.values(), *config.custom_hooks):
        HOOKS.build(hook)


@pytest.mark.parametrize(('train', 'epochs', 'momentum'), [(6, 6, 0.5), (905, 6, 10 / 84), (64 * 100, 30, 10 / 3000)])
def test_weights_are_averaged_over_the_last_tenth(folder, train, epochs, momentum):
    config = finetune_config('sera_tiny_refshapes', look_at(folder)._replace(train=train), epochs=epochs)
    assert config.custom_hooks[0].momentum == pytest.approx(momentum)


@pytest.mark.parametrize('wrong', [dict(epochs=0), dict(tune='some'), dict(keep=-1)])
def test_settings_that_make_no_sense(folder, wrong):
    with pytest.raises(InputError):
        finetune_config('sera_tiny_refshapes', look_at(folder), **wrong)


def test_pretrained_files_are_needed_unless_all_is_in_the_checkpoint(folder, checkpoint, tmp_path):
    data = look_at(folder)
    assert finetune_config('sera_dinov2_refcoco', data).model.backbone.init_cfg.type == 'Pretrained'
    config = finetune_config('sera_dinov2_refcoco', data, checkpoint)
    assert config.model.backbone.init_cfg is None and config.model.text_encoder.init_cfg is None
    torch.save(dict(meta=dict(base={'backbone': {}}), state_dict={}), tmp_path / 'delta.pth')
    config = finetune_config('sera_dinov2_refcoco', data, tmp_path / 'delta.pth')
    assert config.model.backbone.init_cfg.type == 'Pretrained'


def test_mixing_in_what_was_trained_on(folder, tmp_path):
    make_refshapes(tmp_path / 'old', {'train': 6})
    base = Config(load('sera_tiny_refshapes')._cfg_dict)
    base.train_dataloader.dataset.data_root = str(tmp_path / 'old')
    config = finetune_config(base, look_at(folder), keep=1.5)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        dataset = DATASETS.build(config.train_dataloader.dataset)
    assert len(dataset) == 6 + 9
    assert config.train_dataloader.sampler == dict(type='SeededSampler'), 'a concatenation names no images'
    names = {dataset[index]['data_samples'].img_path.split('/')[-1][:5] for index in range(len(dataset))}
    assert names == {'train', 'COCO_'}


def test_asking_for_what_is_not_there(folder, checkpoint):
    config = finetune_config('sera_tiny_refshapes', look_at(folder), checkpoint, absent=0.25)
    assert (config.train_dataloader.dataset.type, config.train_dataloader.dataset.rate) == ('AbsentExpressions', 0.25)
    assert config.model.decode_head.presence == {}
    assert config.default_hooks.load_checkpoint.may_differ == ['decode_head.presence'], 'the checkpoint has none'
    rates = config.optim_wrapper.paramwise_cfg.custom_keys
    assert rates == {'.router.': dict(lr_mult=0.1), 'decode_head.presence': dict(lr_mult=6.0)}
    assert 'decode_head.presence' not in load('sera_tiny_refshapes').optim_wrapper.paramwise_cfg.custom_keys
    foreign = finetune_config('sera_fcn-head_refcoco', look_at(folder), absent=0.25)
    assert 'decode_head.presence' not in (foreign.optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys', {})
    assert 'presence' not in foreign.model.decode_head


def test_training(folder, checkpoint, tmp_path):
    """From a checkpoint, and with the config as it is written into a file."""
    config = finetune_config('sera_tiny_refshapes', look_at(folder), checkpoint, epochs=1, absent=0.5)
    (tmp_path / 'finetune.py').write_text(config.pretty_text)
    config = Config.fromfile(tmp_path / 'finetune.py')
    config.merge_from_dict({
        'work_dir': str(tmp_path / 'run'), 'log_level': 'ERROR', 'experiment_name': 'finetuning',
        **{f'{name}_dataloader.{key}': value for name in ('train', 'val', 'test')
           for key, value in dict(num_workers=0, persistent_workers=False).items()}})
    runner = Runner.from_cfg(config)
    start = torch.load(checkpoint)['state_dict']['backbone.tower.norm.weight']
    seen = []
    runner.logger.info = lambda *_: seen.append(torch.equal(runner.model.backbone.tower.norm.weight, start))
    runner.train()
    assert any(seen), 'training began with the weights of the checkpoint'
    assert not torch.equal(runner.model.backbone.tower.norm.weight, start)
    assert list((tmp_path / 'run').glob('best_mIoU_epoch_1.pth'))
