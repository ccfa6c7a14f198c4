"""Trainings whose images a val or test split of the same config has."""
import logging
import runpy
from pathlib import Path

import pytest
from helpers.refcoco_files import write_refs_on_images
from helpers.toy_runner import toy_runner
from mmengine.config import Config

from mmrefseg import config_path
from mmrefseg.datasets.refer_pickle import load_refer_pickle
from mmrefseg.engine.setup_checks import check_leakage

TRAIN = Path(__file__).parents[3] / 'tools/train.py'


@pytest.fixture
def first(tmp_path) -> dict:
    return write_refs_on_images(tmp_path / 'first', {'train': [1, 2, 2, 3, 4], 'val': [5], 'testA': [6]})


@pytest.fixture
def second(tmp_path) -> dict:
    return write_refs_on_images(tmp_path / 'second', {'train': [1, 5, 7], 'val': [2, 9], 'test': [4, 6]})


@pytest.fixture
def warnings(caplog, monkeypatch):
    """What is logged, also where another test has made a logger of mmengine's the current one."""
    monkeypatch.setattr('mmrefseg.engine.setup_checks.print_log',
                        lambda message, logger, level: logging.log(level, message))
    return caplog


@pytest.fixture
def check(tmp_path):

    def call(train: dict, val: dict | None = None, test: dict | None = None) -> None:
        loaders = {f'{name}_dataloader': dict(dataset=dataset, batch_size=1, num_workers=0,
                                              sampler=dict(type='DefaultSampler', shuffle=False))
                   for name, dataset in (('train', train), ('val', val), ('test', test)) if dataset}
        # As in training, the test loader is not built.
        cfg = Config(dict(test_dataloader=loaders.pop('test_dataloader', None)))
        runner = toy_runner(tmp_path, [0] if val else [], cfg=cfg, **loaders)
        check_leakage(runner)

    return call


def mixture(*datasets: dict, **settings) -> dict:
    return dict(type='ReferringMixture', datasets=list(datasets), **settings)


@pytest.mark.parametrize('loader', ['val', 'test'])
def test_a_mixture_is_refused_that_trains_on_what_another_set_tests_on(check, first, second, loader):
    """Whichever of its splits the config names."""
    with pytest.raises(ValueError) as error:
        check(mixture(first), **{loader: dict(second, split='val')})
    lines = str(error.value).splitlines()
    a, b = f'{first["data_root"]} (unc)', f'{second["data_root"]} (unc)'
    assert lines[1:-1] == [f'  {a} train: 2 refs on 1 images of {b} val',
                           f'  {a} train: 1 refs on 1 images of {b} test']
    assert 'held_out' in lines[-1] and 'allow_leakage=True' in lines[-1]


def test_what_is_held_out_does_not_leak(check, first, second, warnings):
    check(mixture(first, held_out=[first, second]), val=dict(second, split='val'), test=dict(second, split='test'))
    check(mixture(first, second), val=dict(second, split='val'), test=dict(first, split='val'))
    check(mixture(first), val=dict(first, split='val'))
    check(mixture(first))
    assert not warnings.records


def test_consent(check, first, second, warnings):
    check(mixture(first, allow_leakage=True), val=dict(second, split='val'))
    assert warnings.records[-1].levelno == logging.WARNING
    assert '2 refs on 1 images' in warnings.records[-1].getMessage()


def test_data_sets_in_a_row_are_refused(check, first, second):
    """They leave nothing out, whether or not the benchmark is one of them."""
    row = dict(type='ConcatDataset', datasets=[first, second])
    with pytest.raises(ValueError, match=r'first \(unc\) train: 2 refs on 1 images of \S+second \(unc\) val') as error:
        check(row, val=dict(first, split='val'), test=dict(type='ShuffledExpressions', dataset=second))
    assert 'second (unc) train: 1 refs on 1 images of' in str(error.value)
    with pytest.raises(ValueError, match='first'):
        check(dict(type='RepeatDataset', times=2, dataset=row), val=dict(first, split='val'))


def test_consent_is_that_of_each_mixture_in_a_row(check, first, second):
    allowed = mixture(first, allow_leakage=True)
    with pytest.raises(ValueError) as error:
        check(dict(type='ConcatDataset', datasets=[allowed, second], ignore_keys=['dataset_type', 'split_by']),
              val=dict(second, split='val'), test=dict(first, split='val'))
    assert 'first (unc) train:' not in str(error.value)
    assert 'second (unc) train: 1 refs' in str(error.value)


def test_a_data_set_alone_trains_as_it_was_published(check, tmp_path, warnings):
    """RefCOCOg's google splits separate objects, not images."""
    google = write_refs_on_images(tmp_path / 'google', {'train': [1, 2, 3], 'val': [3, 4]}, 'google')
    check(google, val=dict(google, split='val'), test=dict(google, data_root='nowhere'))
    assert not warnings.records


def test_files_are_read_once(check, first, second, monkeypatch):
    reads = []
    monkeypatch.setattr('mmrefseg.datasets.refcoco.load_refer_pickle',
                        lambda path: (reads.append(path.parent.name), load_refer_pickle(path))[1])
    test = dict(second, split='test')
    check(mixture(first, second), val=dict(first, split='val'), test=dict(type='ConcatDataset', datasets=[test, test]))
    assert reads == ['first', 'second', 'first']  # the last by the validation itself


def test_other_data_sets_are_not_looked_at(tmp_path, second):
    runner = toy_runner(tmp_path, cfg=Config(dict(test_dataloader=dict(dataset=dict(second, data_root='nowhere')))))
    check_leakage(runner)


def test_tools_train_refuses(first, second, tmp_path, monkeypatch):
    """With the hooks of every config."""
    config = Config.fromfile(config_path('sera_tiny_refshapes'))
    pipeline = config.train_dataloader.dataset.pipeline
    config.train_dataloader.dataset = mixture(first, unit='ref', pipeline=pipeline)
    test = dict(second, split='test', pipeline=config.test_dataloader.dataset.pipeline)
    config.val_dataloader.dataset = config.test_dataloader.dataset = test
    config.dump(tmp_path / 'model.py')
    monkeypatch.setattr('sys.argv', ['train.py', str(tmp_path / 'model.py'), '--work-dir', str(tmp_path / 'work'),
                                     '--cfg-options', 'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0'])
    with pytest.raises(SystemExit, match='train: train_dataloader mixes data sets and has images that this config'):
        runpy.run_path(str(TRAIN), run_name='__main__')
    assert not list((tmp_path / 'work').glob('*.pth'))
