"""The command that measures the training pipeline; no test asks for a time."""
import json
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest
from benchmarking.coco_like import write_coco_like
from helpers.load_script import load_script
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets import RefCOCODataset, ReferringLMDBDataset
from mmrefseg.utils.collect_env import machine

QUICK = ('--rounds', '1', '--samples', '8', '--workers', '0')
ROWS = ['floor', 'pipeline', 'pipeline from LMDB', 'published design']


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/benchmark_data.py')


@pytest.fixture(scope='module')
def made(tmp_path_factory) -> Path:
    return write_coco_like(tmp_path_factory.mktemp('made'), 4)


@pytest.fixture
def command(tool, monkeypatch, tmp_path):

    def call(*arguments: object) -> dict:
        monkeypatch.setattr(sys, 'argv', ['benchmark_data.py', *map(str, arguments), '--out', str(tmp_path / 'o.json')])
        tool.main()
        return json.loads((tmp_path / 'o.json').read_text())

    return call


@pytest.mark.parametrize('workers', [0, 1])
def test_figures_of_made_data(command, capsys, made, workers):
    figures = command('sera_dinov2_refcoco', '--make-data', 4, made, *QUICK, '--workers', workers)
    assert list(figures['speed']) == ROWS
    for row in figures['speed'].values():
        assert row['samples_per_second'] >= row['median_samples_per_second'] > 0
        assert row['cpu_ms'] >= 0
    assert (figures['samples'], figures['images'], figures['input_size']) == (8, 4, 448)
    assert figures['mean_pixels'] == 640 * 480
    assert 90_000 < figures['mean_image_bytes'] < 280_000
    assert (figures['workers'], figures['rounds'], figures['data_set']) == (workers, 1, 'RefCOCODataset')
    assert figures['machine'] == machine()
    assert 'opencv' in figures['versions']
    printed = capsys.readouterr().out
    assert all(row in printed for row in (*ROWS, 'samples/s', '448×448'))


def test_rounds_of_a_config_that_counts_iterations(command, tool, monkeypatch, made):
    """Each goes through all samples anew, which the config's own, infinite sampler does not."""
    rounds = []

    def time_round(loader, batches):
        rounds.append([int(index) for index in islice(loader.sampler, 9)])
        return measured(loader, batches)

    measured = tool.time_round
    monkeypatch.setattr(tool, 'time_round', time_round)
    command('sera_tiny_refshapes', '--make-data', 4, made, *QUICK, '--cfg-options', 'train_dataloader.batch_size=4')
    assert tool.read_config('sera_tiny_refshapes').train_dataloader.sampler.type == 'ImageGroupsInfiniteSampler'
    assert len(rounds) == 2 * len(ROWS)
    assert all(sorted(indices) == list(range(8)) for indices in rounds)


def test_a_round_that_ends_early_is_refused(tool):
    with pytest.raises(ValueError, match='gave 2 batches of 3'):
        tool.time_round([None, None], 3)


def test_data_are_made_once(tool, tmp_path):
    config = tool.read_config('sera_dinov2_refcoco')
    pipeline = config.train_dataloader.dataset.pipeline
    tool.use_made_data(config, '2', str(tmp_path / 'new'))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'new').rglob('*')}
    assert len(before) == 2 + 3  # images, their folder and two files
    tool.use_made_data(config, '2', str(tmp_path / 'new'))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'new').rglob('*')} == before
    dataset = config.train_dataloader.dataset
    assert (dataset.data_root, dataset.unit, dataset.pipeline) == (str(tmp_path / 'new'), 'ref', pipeline)


@pytest.mark.parametrize('unit', ['sentence', 'ref'])
def test_own_data(command, tmp_path, unit):
    """Images of all sizes; with sentences for samples each record has one expression."""
    content = tiny_refcoco()
    write_refcoco(tmp_path / 'own', content)
    figures = command('cris_r50_refcoco', *QUICK, '--cfg-options', f'train_dataloader.dataset.data_root={tmp_path}/own',
                      'train_dataloader.dataset.data_prefix.img_path=images', 'train_dataloader.batch_size=2',
                      f'train_dataloader.dataset.unit={unit}', *([] if unit == 'ref' else [
                          'train_dataloader.dataset.pipeline.3.type=Letterbox',
                          'train_dataloader.dataset.pipeline.3.size=416']))
    assert figures['samples'] == (4 if unit == 'sentence' else 3)
    assert figures['input_size'] == 416


def test_lmdb_holds_what_the_files_do(tool, made, tmp_path):
    files = RefCOCODataset(str(made), unit='ref')
    infos = [files.get_data_info(index) for index in range(len(files))]
    tool.write_as_lmdb(tmp_path, 'train', infos)
    from_lmdb = ReferringLMDBDataset(str(tmp_path), 'train', unit='ref')
    assert len(from_lmdb) == len(files)
    for index, info in enumerate(infos):
        other = from_lmdb.get_data_info(index)
        assert tool.image_bytes(other['img_path']) == tool.image_bytes(info['img_path'])
        assert (tool.draw_mask(other['segmentation'], 480, 640) == tool.draw_mask(info['segmentation'], 480, 640)).all()
        assert other['sentences'] == info['sentences']
    images = {Path(info['img_path']).stat().st_size for info in infos}
    assert (tmp_path / 'data.lmdb').stat().st_size < 1.2 * sum(images) + 200_000


@pytest.mark.parametrize(('arguments', 'message'), [
    (('--make-data', 'x', 'D'), 'whole number from 2'),
    (('--make-data', '1', 'D'), 'whole number from 2'),
    (('--samples', '0'), '--samples is 0'),
    (('--rounds', '0'), '--rounds is 0'),
    (('--workers', '-1'), '--workers is -1'),
    ((), 'is missing'),
])
def test_wrong_input_ends_in_a_message(tool, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['benchmark_data.py', 'sera_dinov2_refcoco', *arguments])
    with pytest.raises(SystemExit, match=message):
        tool.main()


def test_other_data_is_left_alone(tool, made, tmp_path):
    (tmp_path / 'mine').write_text('x')
    for number, folder in (('4', tmp_path), ('5', made)):
        with pytest.raises(ValueError, match='holds other data'):
            tool.use_made_data(tool.read_config('sera_dinov2_refcoco'), number, str(folder))
    assert [path.name for path in tmp_path.iterdir()] == ['mine']


def test_too_few_samples_for_a_batch(command, made):
    with pytest.raises(SystemExit, match='make no batch of 64'):
        command('sera_dinov2_refcoco', '--make-data', 4, made, *QUICK, '--cfg-options',
                'train_dataloader.batch_size=64')
