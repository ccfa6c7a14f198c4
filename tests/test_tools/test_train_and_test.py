import json
import runpy
from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.config import Config

from mmrefseg import config_path

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


def test_resuming_from_nothing_is_said(train, tmp_path, capsys):
    cfg = Config(dict(work_dir=str(tmp_path)))
    train['resume_from'](cfg, 'auto')
    assert cfg.resume and cfg.load_from is None
    assert 'no checkpoint' in capsys.readouterr().err


def test_resuming_by_name(train, tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path)))
    train['resume_from'](cfg, 'iter_1.pth')
    assert cfg.resume and cfg.load_from == 'iter_1.pth'


def test_splits_and_the_control(build_dataloaders):
    cfg = Config(dict(test_dataloader=dict(batch_size=2, dataset=dict(type='RefCOCODataset', split='val'))))
    loaders = build_dataloaders(cfg, ['testA', 'testB'], ['val'])
    assert list(loaders) == ['testA', 'testB', 'val_shuffled']
    assert loaders['testB'].dataset.split == 'testB'
    assert loaders['val_shuffled'].dataset.type == 'mmrefseg.ShuffledExpressions'
    assert loaders['val_shuffled'].dataset.dataset.split == 'val'
    assert cfg.test_dataloader.dataset.split == 'val', 'the config itself is left alone'


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

    def test_split(runner, cfg, dataloader, out_file, amp):
        if dataloader.dataset.split == 'testA':
            raise ValueError('a broken image')
        out_file.write_text('[{"sent_id": 1}]')
        return {'mIoU': 12.0}

    monkeypatch.setitem(test.__globals__, 'start_testing', lambda cfg, checkpoint: Namespace())
    monkeypatch.setitem(test.__globals__, 'test_split', test_split)
    monkeypatch.setattr('sys.argv', [
        'test.py', config_path('sera_tiny_refshapes'), 'x.pth', '--work-dir', str(tmp_path), '--splits', 'val', 'testA',
        '--out', str(tmp_path / 'out.json')])
    with pytest.raises(ValueError, match='a broken image'):
        test()
    assert json.loads((tmp_path / 'metrics.json').read_text()) == {'val': {'mIoU': 12.0}}
    assert json.loads((tmp_path / 'out.json').read_text()) == {'val': [{'sent_id': 1}]}
