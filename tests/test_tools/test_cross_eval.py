"""One checkpoint on the splits of other data sets: two sets of RefShapes, and a tiny model with random weights."""
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmrefseg.apis import RefSegInferencer
from mmrefseg.datasets import LoadReferringImage, LoadReferringMask, RefCOCODataset
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.utils.shipped_files import config_path

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/cross_eval.py'


def write_config(path: Path, data_root: Path) -> None:
    base = config_path('_base_/datasets/refshapes')
    path.write_text(f'_base_ = {base!r}\n'
                    f'test_dataloader = dict(dataset=dict(data_root={str(data_root)!r}))\n')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Two data sets with their configs, and a model that trains on the second one's testA."""
    folder = tmp_path_factory.mktemp('cross')
    make_refshapes(folder / 'wide', {'train': 1, 'val': 2, 'testA': 1}, image_size=(96, 64), seed=1)
    make_refshapes(folder / 'plain', {'val': 1, 'testA': 2}, image_size=64, seed=2)
    for name in ('wide', 'plain'):
        write_config(folder / f'{name}.py', folder / name)
    (folder / 'model.py').write_text(
        f'_base_ = {config_path("sera_tiny_refshapes")!r}\n'
        f"train_dataloader = dict(dataset=dict(data_root={str(folder / 'plain')!r}, split='testA'))\n"
        'test_dataloader = dict(num_workers=0)\n')
    torch.manual_seed(0)
    model = RefSegInferencer(folder / 'model.py', None, 'cpu').model
    model.decode_head.kernel.weight.data *= 30  # masks that are neither empty nor full
    torch.save(model.state_dict(), folder / 'weights.pth')
    return folder


@pytest.fixture
def command(monkeypatch, folder):

    def call(*arguments, weights='weights.pth'):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['cross_eval.py', 'model.py', weights, '--on', *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


def ask_about(ask: RefSegInferencer, data_root: Path, split: str) -> list[float]:
    """The IoU of each expression in percent."""
    dataset = RefCOCODataset(str(data_root), split=split)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    answers = ask([info['img_path'] for info in infos], [info['text'] for info in infos])
    ious = []
    for info, answer in zip(infos, answers, strict=True):
        truth = LoadReferringMask().transform(LoadReferringImage().transform(info))['gt_seg_map'] != 0
        ious.append(100 * (answer.mask & truth).sum() / (answer.mask | truth).sum())
    return ious


def test_against_the_inferencer(command, folder, tmp_path, capsys):
    command('wide.py', 'plain.py', '--out', tmp_path / 'new/out.json')
    report = json.loads((tmp_path / 'new/out.json').read_text())
    assert (report['config'], report['checkpoint']) == ('model.py', 'weights.pth')
    results = report['results']
    assert {name: list(splits) for name, splits in results.items()} == {
        'wide': ['testA', 'val'], 'plain': ['testA', 'val']}
    ask = RefSegInferencer(folder / 'model.py', folder / 'weights.pth', 'cpu')
    for name, splits in results.items():
        for split, figures in splits.items():
            ious = ask_about(ask, folder / name, split)
            assert figures['expressions'] == len(ious)
            assert figures['mIoU'] == pytest.approx(np.mean(ious), abs=1e-3)
            assert figures['Pr@50'] == pytest.approx(100 * np.mean(np.array(ious) > 50))
    assert len({figures['mIoU'] for splits in results.values() for figures in splits.values()}) == 4
    assert {name: [figures['seen'] for figures in splits.values()] for name, splits in results.items()} == {
        'wide': [0.0, 0.0], 'plain': [100.0, 0.0]}
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name, splits in results.items():
        for split, figures in splits.items():
            row, = (line for line in lines if line[:2] == [name, split])
            assert (row[2], row[-2], row[-1]) == (
                f'{figures["mIoU"]:.1f}', str(figures['expressions']), f'{figures["seen"]:.1f}')


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(TOOL))


@pytest.fixture
def model_config(folder) -> Config:
    return Config.fromfile(folder / 'model.py')


def test_targets(tool, folder, model_config):
    files = [str(folder / 'wide.py'), str(folder / 'plain.py')]
    wide, plain = tool['read_targets'](files, model_config, ['testB', 'val'])
    assert (wide.name, wide.splits, plain.name, plain.splits) == ('wide', ('val', ), 'plain', ('val', ))
    assert wide.dataset['data_root'] == str(folder / 'wide')
    assert wide.dataset['pipeline'] == model_config.test_dataloader.dataset.pipeline
    (folder / 'again').mkdir()
    again = (folder / 'again/wide.py')
    again.write_text((folder / 'wide.py').read_text())
    targets = tool['read_targets']([files[0], str(again), files[1]], model_config, None)
    assert [target.name for target in targets] == [files[0], str(again), 'plain']


def test_the_data_sets_own_metric_and_the_models_pipeline(tool, folder, model_config):
    text = (folder / 'wide.py').read_text()
    (folder / 'metric.py').write_text(f'{text}\ntest_evaluator = dict(type="ReferringIoUMetric", thresholds=(10, ))\n')
    model_config.test_dataloader.dataset.pipeline[1].size = 56
    target = tool['read_target']('metric', str(folder / 'metric.py'), model_config, None)
    assert target.evaluator.thresholds == (10, )
    assert target.dataset['pipeline'][1]['size'] == 56
    assert target.splits == ('testA', 'val')


def test_training_data_elsewhere(tool, model_config):
    model_config.train_dataloader.dataset.data_root = 'nowhere'
    assert tool['trained_images'](model_config) is None
    results = {'a': {'val': {'mIoU': 1.0, 'seen': None}}, 'b': {'test': {'IoU': 2.0, 'seen': 0.0}}}
    table = tool['transfer_table'](results)
    assert [list(column.cells) for column in table.columns] == [
        ['a', 'b'], ['val', 'test'], ['1.0', '?'], ['?', '0.0'], ['?', '2.0']]


@pytest.mark.parametrize(('arguments', 'message'), [
    (['wide.py', '--splits', 'testB', 'test'], r'wide \(unc\) has no split to test: it has testA, val, and --splits '
                                               'asks for testB, test'),
    (['model_only.py'], r'model_only\.py has no test_dataloader\.dataset'),
    (['foreign.py'], r'foreign\.py tests on a ShuffledExpressions; expected was a data set of mmrefseg'),
    (['no-such-config'], "no config 'no-such-config'"),
    (['lost.py'], r'nowhere is missing'),
])
def test_mistakes_get_a_message(command, folder, arguments, message):
    (folder / 'model_only.py').write_text('model = dict()\n')
    write_config(folder / 'lost.py', Path('nowhere'))
    (folder / 'foreign.py').write_text(
        (folder / 'wide.py').read_text() + 'test_dataloader = dict(dataset=dict(_delete_=True, '
        f"type='mmrefseg.ShuffledExpressions', dataset=dict(type='RefCOCODataset', data_root={str(folder / 'wide')!r}, "
        "split='val')))\n")
    with pytest.raises(SystemExit, match=f'^cross_eval: .*{message}'):
        command(*arguments)


def test_a_missing_checkpoint(command):
    with pytest.raises(SystemExit, match=r'^cross_eval: no checkpoint missing\.pth'):
        command('wide.py', weights='missing.pth')
