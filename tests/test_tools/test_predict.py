"""The command that asks about many images."""
import json
import runpy
import sys
from pathlib import Path

import pytest

from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.evaluation.predictions import read_predictions

TOOL = Path(__file__).parents[2] / 'tools/predict.py'
CONFIG = 'sera_tiny_refshapes'


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('refshapes')
    make_refshapes(folder, {'val': 3}, image_size=64)
    return folder / 'images'


@pytest.fixture
def command(monkeypatch, tmp_path, weights):

    def call(*arguments: str) -> Path:
        monkeypatch.setattr(sys, 'argv', [
            'predict.py', '--out', str(tmp_path / 'out'), '--device', 'cpu', '--images-per-shard', '2', CONFIG, weights,
            *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return tmp_path / 'out'

    return call


def test_a_folder(command, images, capsys):
    out = command(images, '--expressions', 'the circle', 'all', '--save', 'coco')
    printed = capsys.readouterr().out
    assert 'process 0: 6 answers about 3 images, 0 unreadable' in printed and '6 answers about 3 images\n' in printed
    splits = read_predictions(out / 'predictions.jsonl').splits
    assert [prediction.names['text'] for prediction in splits[None]] == ['the circle', 'all'] * 3
    assert {prediction.names['file_name'] for prediction in splits[None]} == {path.name for path in images.iterdir()}
    assert len(json.loads((out / 'instances.json').read_text())['images']) == 3


def test_processes_of_torchrun(command, images, capsys, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '1')
    out = command(images, '--expressions', 'all')
    assert 'process 1: 1 answers about 1 images' in (printed := capsys.readouterr().out)
    assert '1 of 2 shards are not there yet' in printed and not (out / 'predictions.jsonl').exists()
    monkeypatch.setenv('RANK', '0')
    command(images, '--expressions', 'all')
    assert len((out / 'predictions.jsonl').read_text().splitlines()) == 3
    with pytest.raises(SystemExit, match='predict: .*holds answers already. Go on with --resume'):
        command(images, '--expressions', 'all')
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    command(images, '--expressions', 'all')
    with pytest.raises(SystemExit, match='predict: .*questions differ'):
        command(images, '--expressions', 'other', '--resume')


def test_unreadable_images_are_told(command, images, tmp_path, capsys):
    (tmp_path / 'list.txt').write_text(f'{next(images.iterdir())}\nnowhere.jpg\n')
    (tmp_path / 'bomb.ppm').write_bytes(b'P6 99999 99999 255\n123')
    out = command(tmp_path / 'list.txt', tmp_path / 'bomb.ppm', '--expressions', 'all')
    assert '2 images that could not be read' in capsys.readouterr().out
    errors = [json.loads(line)['error'] for line in (out / 'unreadable.jsonl').read_text().splitlines()]
    assert 'no image file' in errors[0] and 'may exhaust the memory' in errors[1]


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--images-per-shard', '0', '--expressions', 'x'], '--images-per-shard must be at least 1'),
    ([], 'nothing is asked'),
    (['--expressions', ' '], 'blank'),
])
def test_mistakes_get_one_line(command, images, arguments, message):
    with pytest.raises(SystemExit, match=f'^predict: .*{message}'):
        command(images, *arguments)
