"""What the ablation's script runs, with tools in place of the real ones that only leave files."""
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from helpers.load_script import load_script
from mmengine.config import Config, DictAction

from mmrefseg.utils.locks import locked_file
from mmrefseg.utils.shipped_files import config_path

VARIANTS = ('baseline', 'adapter', 'fusion', 'both')
ENCODERS = ('pretrained/refshapes_168/backbone.pth', 'pretrained/refshapes_168/text_encoder.pth',
            'pretrained/refshapes_128/clip.pth')
WEIGHTS = {'backbone.tower.a': torch.ones(2), 'text_encoder.tower.b': torch.zeros(3), 'neck.c': torch.ones(1)}


@pytest.fixture
def tool():
    return load_script('tools/ablation_refshapes.py')


class Tools:
    """Does nothing but leave the files that train.py and test.py leave.

    Args:
        stop_at: number of the call at which Ctrl-C is pressed. Default None.
    """

    def __init__(self, stop_at=None):
        self.calls = []
        self.stop_at = stop_at

    def __call__(self, command):
        assert command[0] == sys.executable and Path(command[1]).is_file()
        self.calls.append([Path(command[1]).name, *command[2:]])
        words = dict(pairwise(command))
        if command[1].endswith('train.py'):
            out = Path(words['--work-dir'])
            out.mkdir(parents=True, exist_ok=True)
            (out / 'iter_1.pth').touch()
            if len(self.calls) == self.stop_at:
                raise KeyboardInterrupt
            length = next(word for word in command if word.startswith('train_cfg.max_iters='))
            torch.save({'state_dict': WEIGHTS}, out / f'iter_{length.split("=")[1]}.pth')
        elif len(self.calls) == self.stop_at:
            return subprocess.CompletedProcess(command, 1)
        elif command[1].endswith('test.py'):
            Path(words['--out']).touch()
        return subprocess.CompletedProcess(command, 0)

    def names(self):
        return [name for name, *_ in self.calls]


@pytest.fixture
def pretrained(tmp_path):
    """Encoders that are there already."""
    for file in ENCODERS:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()


@pytest.fixture
def command(tool, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(arguments='', method='sera', **kwargs):
        tools = Tools(**kwargs)
        monkeypatch.setattr(subprocess, 'run', tools)
        monkeypatch.setattr(sys, 'argv', ['ablation_refshapes.py', method, *arguments.split()])
        try:
            tool.main()
        except SystemExit as stopped:
            tools.message = stopped.code
        return tools

    return call


def test_the_whole_ablation(command, pretrained):
    tools = command()
    assert tools.names() == ['refshapes.py', *['train.py', 'test.py'] * 12, 'compare_models.py']
    trained = [(Path(call[1]).stem, call[3]) for call in tools.calls if call[0] == 'train.py']
    stems = ['sera_tiny-168_baseline_refshapes', 'sera_tiny-168_adapter-only_refshapes',
             'sera_tiny-168_fusion-only_refshapes', 'sera_tiny-168_refshapes']
    assert trained == [(stem, f'work_dirs/ablation_refshapes/sera/560_iterations/{name}/seed_{seed}')
                       for seed in range(3) for name, stem in zip(VARIANTS, stems, strict=True)]
    for train, test in zip(tools.calls[1:-1:2], tools.calls[2:-1:2], strict=True):
        assert f'randomness.seed={train[3][-1]}' in train
        assert train[1] == test[1] and test[2] == f'{train[3]}/iter_560.pth' and test[4] == train[3]
        assert test[5:9] == ['--splits', 'val', 'testA', 'testB']
    compared = ' '.join(tools.calls[-1])
    for name in VARIANTS:
        folder = f'work_dirs/ablation_refshapes/sera/560_iterations/{name}'
        files = ' '.join(f'{folder}/seed_{seed}/predictions.json' for seed in range(3))
        assert f'--variant {name} {files}' in compared
    assert compared.startswith('compare_models.py --variant baseline ')
    assert compared.endswith('--out work_dirs/ablation_refshapes/sera/560_iterations/comparison.md')


def test_encoders_are_pretrained_once_on_images_of_their_own(command, tmp_path):
    first = command('--seeds 0', stop_at=3)
    assert first.names() == ['refshapes.py', 'refshapes.py', 'train.py']
    data, pretraining = first.calls[1:]
    assert data[1] == 'data/refshapes_168_pretraining' and data[-2:] == ['--seed', '1']
    assert Path(pretraining[1]).stem == 'sera_tiny-168_pretraining_refshapes'
    assert 'train_dataloader.dataset.data_root=data/refshapes_168_pretraining' in pretraining
    assert not any((tmp_path / file).exists() for file in ENCODERS)
    second = command('--seeds 0')
    assert '--resume' in second.calls[2]
    backbone, text = (torch.load(tmp_path / file, weights_only=True) for file in ENCODERS[:2])
    assert backbone.keys() == {'a'} and text.keys() == {'b'}
    assert torch.equal(backbone['a'], WEIGHTS['backbone.tower.a'])
    third = command('--seeds 0 --iterations 9')
    assert 'sera_tiny-168_pretraining_refshapes' not in {Path(call[1]).stem for call in third.calls}


def test_a_second_run_waits_for_what_is_shared_and_trains_nothing_twice(command, pretrained, tmp_path):
    """While another one trains a variant, this one says so and ends; it neither trains nor tests it."""
    folder = Path('work_dirs/ablation_refshapes/sera/9_iterations/baseline/seed_0')
    (tmp_path / folder).mkdir(parents=True)
    with locked_file(folder / '.ablation.lock', ''):
        second = command('--seeds 0 --iterations 9')
    assert second.names() == ['refshapes.py']
    assert second.message == (f'ablation_refshapes: {folder} is being trained and tested by another process: wait for '
                              'it to end')


def test_encoders_of_segvlm_come_in_one_file(command, tmp_path):
    trained = [Path(call[1]).stem for call in command('--seeds 0', 'segvlm').calls if call[0] == 'train.py']
    assert trained == ['segvlm_tiny_pretraining_refshapes', 'segvlm_tiny_baseline_refshapes',
                       'segvlm_tiny_raf_refshapes', 'segvlm_tiny_raf-deformable_refshapes',
                       'segvlm_tiny_raf-deformable-se_refshapes']
    assert torch.load(tmp_path / ENCODERS[2], weights_only=True).keys() == {'visual.a', 'b'}


@pytest.mark.parametrize(('method', 'data'), [('sera', 'data/refshapes_168'), ('segvlm', 'data/refshapes')])
def test_all_variants_get_the_same_budget_and_data(command, pretrained, method, data):
    options = {tuple(call[call.index('--cfg-options'):]) for call in command('--seeds 7', method).calls
               if call[0] == 'train.py'}
    assert len(options) == 1
    assert f'train_dataloader.dataset.data_root={data}' in options.pop()


def test_what_is_finished_is_not_repeated(command, pretrained, tmp_path):
    first = command('--seeds 0 --iterations 9', stop_at=4)  # the second training
    assert first.names() == ['refshapes.py', 'train.py', 'test.py', 'train.py']
    assert first.message == 130
    (tmp_path / 'data/refshapes_168').mkdir(parents=True)
    (tmp_path / 'data/refshapes_168/refshapes.json').touch()
    second = command('--seeds 0 --iterations 9', stop_at=2)  # its test
    assert second.names() == ['train.py', 'test.py'] and '--resume' in second.calls[0]
    assert second.message == 'ablation_refshapes: test.py failed; see above. The same command tries again.'
    third = command('--seeds 0 --iterations 9')
    assert third.names() == ['test.py', *['train.py', 'test.py'] * 2, 'compare_models.py']
    assert not any('--resume' in call for call in third.calls)
    assert command('--seeds 0 --iterations 9').names() == ['compare_models.py']
    assert len(command('--seeds 0 1 --iterations 9').calls) == 9
    assert len(command('--seeds 0 --iterations 10').calls) == 9, 'other budgets are other trainings'


def read(options):
    words = dict(option.split('=') for option in options)
    config = Config.fromfile(config_path('sera_tiny-168_refshapes'))
    config.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in words.items()})
    return config


@pytest.mark.parametrize(('iterations', 'warm_up', 'decay'), [
    (560, 50, 380), (1120, 50, 760), (56, 38, 38), (3, 2, 2), (4, 2, 2)])
def test_schedule_in_proportion(tool, iterations, warm_up, decay):
    config = read(tool.schedule(Config.fromfile(config_path('sera_tiny-168_refshapes')), iterations))
    rise, fall = config.param_scheduler
    assert (rise.get('begin', 0), rise.end, fall.begin, fall.end) == (0, warm_up, decay, iterations)
    assert (rise.start_factor, fall.end_factor) == (0.05, 0.01)
    assert config.train_cfg.max_iters == iterations


def test_too_short(command, pretrained):
    assert 'needs 3 or more' in command('--iterations 2').message
