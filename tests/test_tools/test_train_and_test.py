import json
import os
import runpy
import signal
import time
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmrefseg import config_path
from mmrefseg.errors import InputError
from mmrefseg.evaluation import PROTOCOLS
from mmrefseg.registry import MODELS
from mmrefseg.utils.locks import locked_folder

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture(scope='module')
def train():
    return runpy.run_path(str(TOOLS / 'train.py'))


@pytest.fixture(scope='module')
def build_dataloaders():
    return runpy.run_path(str(TOOLS / 'test.py'))['build_dataloaders']


@pytest.mark.parametrize(('launcher', 'resume', 'typed', 'expected'), [
    ('none', None, 'a.py --amp --cfg-options x=1', 'python tools/train.py a.py --amp --cfg-options x=1 --resume'),
    ('none', 'auto', 'a.py --resume --work-dir w', 'python tools/train.py a.py --work-dir w --resume'),
    ('none', 'old.pth', 'a.py --resume old.pth', 'python tools/train.py a.py --resume'),
    ('pytorch', None, 'a.py --launcher pytorch --amp', 'tools/dist_train.sh a.py 2 --amp --resume'),
])
def test_the_command_that_continues_keeps_all_options(train, monkeypatch, launcher, resume, typed, expected):
    monkeypatch.setattr('sys.argv', ['tools/train.py', *typed.split()])
    monkeypatch.setenv('WORLD_SIZE', '2')
    command = train['continuing_command'](Namespace(config='a.py', launcher=launcher, resume=resume))
    assert command == expected


@pytest.mark.parametrize(('dtype', 'expected'), [
    (torch.bfloat16, dict(type='mmrefseg.BFloat16OptimWrapper', clip_grad=dict(max_norm=1))),
    (torch.float16, dict(type='AmpOptimWrapper', clip_grad=dict(max_norm=1), loss_scale=512.0, dtype='float16')),
])
def test_mixed_precision_of_a_config_that_has_its_own(train, monkeypatch, dtype, expected):
    """Its settings go where they have a meaning."""
    monkeypatch.setitem(train['use_mixed_precision'].__globals__, 'mixed_precision_dtype', lambda: dtype)
    cfg = Config(dict(optim_wrapper=dict(
        type='AmpOptimWrapper', loss_scale=512.0, dtype='float16', clip_grad=dict(max_norm=1))))
    train['use_mixed_precision'](cfg)
    assert cfg.optim_wrapper.to_dict() == expected


def test_resuming_from_the_latest(train, tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='old.pth'))
    for _ in range(2):  # the config of the run that goes on is written into the folder, and read again
        train['resume_from'](cfg, 'auto')
        assert cfg.resume and cfg.load_from is None, 'the runner chooses'
        assert cfg.start_from == 'old.pth', 'where there is nothing to resume yet'


@pytest.mark.parametrize('out_dir', [None, 'out'])
def test_the_last_checkpoint_is_one_of_the_runs_folder(train, tmp_path, out_dir):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    folder = tmp_path / out_dir / 'run' if out_dir else work_dir
    folder.mkdir(parents=True, exist_ok=True)
    cfg = Config(dict(work_dir=str(work_dir)))
    if out_dir:
        cfg.default_hooks = dict(checkpoint=dict(out_dir=str(tmp_path / out_dir)))
    assert train['last_checkpoint'](cfg) is None
    (work_dir / 'last_checkpoint').write_text('/elsewhere/iter_4.pth')
    (folder / 'iter_4.pth').touch()
    assert train['last_checkpoint'](cfg) == folder / 'iter_4.pth'


def test_resuming_by_name(train, tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path)))
    train['resume_from'](cfg, 'iter_1.pth')
    assert cfg.resume and cfg.load_from == 'iter_1.pth'


@pytest.mark.parametrize('out_dir', [None, 'out'])
@pytest.mark.parametrize('name', ['iter_4.pth', 'epoch_4.pth', 'best_mIoU_iter_4.pth', 'state_4.pth'])
def test_a_new_run_does_not_begin_among_the_checkpoints_of_another(train, tmp_path, name, out_dir):
    folder = tmp_path / out_dir / 'run' if out_dir else tmp_path / 'run'
    hook = dict(filename_tmpl='state_{}.pth', **(dict(out_dir=str(tmp_path / out_dir)) if out_dir else {}))
    cfg = Config(dict(work_dir=str(tmp_path / 'run'), default_hooks=dict(checkpoint=hook)))
    train['refuse_used_folder'](cfg)
    folder.mkdir(parents=True)
    (tmp_path / 'elsewhere.pth').touch()
    (folder / 'start.pth').touch()
    train['refuse_used_folder'](cfg)  # one that stopped ahead of its first checkpoint may begin again
    (folder / name).touch()
    for settings in (dict(resume=False), dict(load_from=str(folder / name)),
                     dict(resume=True, load_from=str(tmp_path / 'elsewhere.pth'))):
        with pytest.raises(InputError, match=f'holds {name} of another run, .* --work-dir, or go on with it by --res'):
            train['refuse_used_folder'](Config({**cfg.to_dict(), **settings}))
    for settings in (dict(resume=True), dict(resume=True, load_from=str(folder / name))):
        train['refuse_used_folder'](Config({**cfg.to_dict(), **settings}))


def test_splits_and_the_control(build_dataloaders):
    cfg = Config(dict(test_dataloader=dict(batch_size=2, dataset=dict(type='RefCOCODataset', split='val'))))
    loaders = build_dataloaders(cfg, ['testA', 'testB'], ['val'])
    assert list(loaders) == ['testA', 'testB', 'val_shuffled']
    assert loaders['testB'].dataset.split == 'testB'
    assert loaders['val_shuffled'].dataset.type == 'mmrefseg.ShuffledExpressions'
    assert loaders['val_shuffled'].dataset.dataset.split == 'val'
    assert cfg.test_dataloader.dataset.split == 'val', 'the config itself is left alone'


def test_splits_with_what_is_not_there(build_dataloaders):
    inner = dict(type='RefCOCODataset', split='train')
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='AbsentExpressions', dataset=inner))))
    loaders = build_dataloaders(cfg, ['val'], [], ['testA'])
    assert loaders['val'].dataset == dict(type='AbsentExpressions', dataset=dict(inner, split='val'))
    assert loaders['testA_absent'].dataset.type == 'mmrefseg.AbsentExpressions'
    assert loaders['testA_absent'].dataset.dataset.dataset.split == 'testA'


def test_without_splits_the_configs_own_loader_is_taken(build_dataloaders):
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='Foreign'))))
    assert build_dataloaders(cfg, None, []) == {'test': cfg.test_dataloader}


def test_an_interrupt_while_the_config_is_formatted_is_an_interrupt(train, monkeypatch, tmp_path):

    class Interrupted:

        def train(self):
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                raise SyntaxError('Failed to format the config file') from None

    main = train['main']
    monkeypatch.setitem(main.__globals__, 'Runner', Namespace(from_cfg=lambda cfg: Interrupted()))
    monkeypatch.setattr('sys.argv', ['train.py', config_path('sera_tiny_refshapes'), '--work-dir', str(tmp_path)])
    with pytest.raises(SystemExit, match='Stopped before the first checkpoint'):
        main()


def test_figures_of_finished_splits_are_kept(monkeypatch, tmp_path):
    test = runpy.run_path(str(TOOLS / 'test.py'))['main']

    def test_split(runner, evaluator, dataloader, out_file, args):
        if dataloader.dataset.split == 'testA':
            raise InputError('a broken image')
        out_file.write_text('[{"sent_id": 1}]')
        return {'mIoU': 12.0}

    said = []
    monkeypatch.setitem(test.__globals__, 'print_log', lambda text, logger: said.append(text))
    monkeypatch.setitem(test.__globals__, 'start_testing', lambda *args: Namespace(log_dir=tmp_path / 'first'))
    monkeypatch.setitem(test.__globals__, 'test_split', test_split)
    monkeypatch.setattr('sys.argv', [
        'test.py', config_path('sera_tiny_refshapes'), 'x.pth', '--work-dir', str(tmp_path), '--splits', 'val', 'testA',
        '--out', str(tmp_path / 'out.json'), '--protocol', 'cris', 'lavt'])
    with pytest.raises(SystemExit, match='test: a broken image'):
        test()
    assert said == ['Split val:', 'val: mIoU 12.0', 'Split testA:']
    rules = {name: PROTOCOLS[name].to_dict() for name in ('cris', 'lavt')}
    assert rules['cris']['threshold'] == 0.35
    assert json.loads((tmp_path / 'metrics.json').read_text()) == {'protocols': rules, 'val': {'mIoU': 12.0}}
    del rules['lavt']  # the masks are those of the first alone
    assert json.loads((tmp_path / 'out.json').read_text()) == {'protocols': rules, 'val': [{'sent_id': 1}]}


def test_a_second_test_leaves_the_figures_of_the_first(monkeypatch, tmp_path):
    test = runpy.run_path(str(TOOLS / 'test.py'))['main']
    monkeypatch.setitem(test.__globals__, 'leave_process_group', lambda: None)
    for time_of, value in (('20260101_000000', 12.0), ('20260101_000001', 34.0)):
        runner = Namespace(log_dir=tmp_path / 'work' / time_of, call_hook=lambda name: None)
        monkeypatch.setitem(test.__globals__, 'start_testing', lambda *args, runner=runner: runner)
        monkeypatch.setitem(test.__globals__, 'test_split', lambda *args, value=value: {'mIoU': value})
        monkeypatch.setattr('sys.argv', ['test.py', config_path('sera_tiny_refshapes'), 'x.pth', '--splits', 'val',
                                         '--work-dir', str(tmp_path / 'work')])
        test()
    figures = {str(path.relative_to(tmp_path / 'work')): json.loads(path.read_text())['val']['mIoU']
               for path in (tmp_path / 'work').rglob('metrics.json')}
    assert figures == {'metrics.json': 34.0, '20260101_000000/metrics.json': 12.0, '20260101_000001/metrics.json': 34.0}


def test_bugs_keep_their_traceback(monkeypatch, tmp_path):

    def fail(*args):
        raise ValueError('a bug')

    runner = Namespace(train=fail)
    for tool, fakes in (('train', dict(Runner=Namespace(from_cfg=lambda cfg: runner))),
                        ('test', dict(start_testing=lambda *args: runner, test_split=fail))):
        main = runpy.run_path(str(TOOLS / f'{tool}.py'))['main']
        for name, fake in fakes.items():
            monkeypatch.setitem(main.__globals__, name, fake)
        monkeypatch.setattr('sys.argv', [f'{tool}.py', 'sera_tiny_refshapes', *(['x.pth'] if tool == 'test' else []),
                                         '--work-dir', str(tmp_path)])
        with pytest.raises(ValueError, match='a bug'):
            main()


def run(monkeypatch, folder, tool, *arguments):
    """Run a tool in a folder as a user does; returns the message with which it ends."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr('sys.argv', [f'{tool}.py', *map(str, arguments), '--work-dir', 'work'])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOLS / f'{tool}.py'), run_name='__main__')
    return end.value.code


def test_missing_weights_are_told_before_anything_is_read(monkeypatch, tmp_path):
    message = run(monkeypatch, tmp_path, 'train', 'sera_dinov2_refcoco')
    pretrained = tmp_path / 'pretrained'
    for part, file in (('text_encoder', 'vit_base_patch16_clip_224.openai/open_clip_model.safetensors'),
                       ('backbone', 'dinov2_vitb14_reg4_pretrain.pth')):
        assert f'model.{part} needs the weights pretrained/{file}, but there is no file {pretrained}' in message
        assert f'Only model.{part}.init_cfg=None, which --cfg-options can set, trains from random weights' in message
    assert f'Run `mmrefseg weights {config_path("sera_dinov2_refcoco")}`' in message


def test_a_config_of_data_alone(monkeypatch, tmp_path):
    assert 'has no model' in run(monkeypatch, tmp_path, 'train', config_path('_base_/datasets/refcoco'))


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'mmengine.AmpOptimWrapper', 'ApexOptimWrapper'])
def test_wrappers_of_gpus_alone(monkeypatch, tmp_path, kind):
    message = run(monkeypatch, tmp_path, 'train', 'sera_tiny_refshapes', '--cfg-options', f'optim_wrapper.type={kind}')
    assert 'computes on GPUs alone, and there is none here. --amp trains' in message


@pytest.fixture
def on_pretrained(tmp_path):
    """A config whose backbone has pretrained weights, though not in this folder."""
    config = tmp_path / 'on_pretrained.py'
    config.write_text(f"""_base_ = {config_path('sera_tiny_refshapes')!r}
model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='gone.pth')))""")
    return config


def test_random_weights_need_no_file(monkeypatch, tmp_path, on_pretrained):
    message = run(monkeypatch, tmp_path, 'train', on_pretrained)
    assert message.startswith('train: model.backbone needs the weights gone.pth')
    message = run(monkeypatch, tmp_path, 'train', on_pretrained, '--cfg-options', 'model.backbone.init_cfg=None')
    assert message.startswith('train: data/refshapes is missing. Expected:')


def test_a_delta_without_its_base(monkeypatch, tmp_path, on_pretrained):
    base = dict(backbone=dict(sha256='0' * 64, files=['gone.pth'], names=['backbone.cls_token']))
    torch.save(dict(meta=dict(base=base), state_dict={}), tmp_path / 'delta.pth')
    message = run(monkeypatch, tmp_path, 'test', on_pretrained, 'delta.pth')
    assert message.startswith('test: delta.pth holds only what was trained and needs the pretrained weights')
    assert f'there is no file {tmp_path}/gone.pth' in message
    message = run(monkeypatch, tmp_path, 'test', 'sera_tiny_refshapes', 'delta.pth')
    assert message.startswith('test: delta.pth holds only what was trained, and belongs on other weights: ')


def test_a_full_checkpoint_is_tested_without_pretrained_files(monkeypatch, tmp_path, on_pretrained):
    config = Config.fromfile(on_pretrained)
    torch.save(dict(meta={}, state_dict=MODELS.build(config.model).state_dict()), tmp_path / 'full.pth')
    message = run(monkeypatch, tmp_path, 'test', on_pretrained, 'full.pth')
    assert message.startswith('test: data/refshapes is missing. Expected:'), 'the data come after the weights'


def test_a_used_folder_is_refused_before_anything_is_built(monkeypatch, tmp_path):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work/iter_560.pth').write_text('theirs')
    message = run(monkeypatch, tmp_path, 'train', 'sera_tiny_refshapes')
    assert message.startswith('train: work holds iter_560.pth of another run')
    assert (tmp_path / 'work/iter_560.pth').read_text() == 'theirs'


def test_one_training_a_folder_of_checkpoints(monkeypatch, tmp_path):
    """That of another run of the same name, whose work folder lies elsewhere."""
    for name in ('other/work', 'out/work'):
        (tmp_path / name).mkdir(parents=True)
    child = os.fork()
    if child == 0:
        train = runpy.run_path(str(TOOLS / 'train.py'))
        with ExitStack() as stack:
            train['lock_folders'](Config(dict(work_dir=str(tmp_path / 'other/work'), default_hooks=dict(
                checkpoint=dict(out_dir=str(tmp_path / 'out'))))), stack)
            (tmp_path / 'locked').touch()
            signal.pause()
    try:
        while not (tmp_path / 'locked').exists():
            time.sleep(0.01)
        message = run(monkeypatch, tmp_path, 'train', 'sera_tiny_refshapes', '--cfg-options',
                      'default_hooks.checkpoint.out_dir=out')
        assert message.startswith(f'train: another training is at work in out/work: process {child} on ')
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_one_training_a_folder(monkeypatch, tmp_path):
    (tmp_path / 'work').mkdir()
    child = os.fork()
    if child == 0:
        with locked_folder(tmp_path / 'work', 'training'):
            (tmp_path / 'locked').touch()
            signal.pause()
    try:
        while not (tmp_path / 'locked').exists():
            time.sleep(0.01)
        message = run(monkeypatch, tmp_path, 'train', 'sera_tiny_refshapes')
        assert message.startswith(f'train: another training is at work in work: process {child} on ')
        message = run(monkeypatch, tmp_path, 'test', 'sera_tiny_refshapes', 'gone.pth')
        assert message.startswith('test: no checkpoint gone.pth'), 'tests may look on'
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    message = run(monkeypatch, tmp_path, 'train', 'sera_tiny_refshapes')
    assert message.startswith('train: data/refshapes is missing'), 'the lock ended with its process'
