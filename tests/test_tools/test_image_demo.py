"""The command that asks about one image."""
import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmrefseg.apis import RefSegInferencer

TOOL = Path(__file__).parents[2] / 'tools/image_demo.py'
CONFIG = 'sera_tiny_refshapes'


@pytest.fixture
def image(tmp_path) -> str:
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    return path


@pytest.fixture
def command(monkeypatch):

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['image_demo.py', *arguments, '--device', 'cpu'])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


def test_answers(command, image, weights, tmp_path, capsys):
    out = str(tmp_path / 'demo.png')
    command(image, 'the cup', 'the red one', '--config', CONFIG, '--weights', weights, '--out', out)
    expected = RefSegInferencer(CONFIG, weights, 'cpu')(image, ['the cup', 'the red one'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        f'{result.expression}: score {result.score:.2f}, {result.mask.mean():.1%} of the image' for result in expected
    ] + [f'The picture is in {out}']
    assert cv2.imread(out) is not None


def test_confidence_of_a_calibrated_model(command, image, weights, tmp_path, capsys):
    config = str(tmp_path / 'config.py')
    Path(config).write_text(f"_base_ = '{TOOL.parents[1]}/configs/sera/{CONFIG}.py'\n"
                            'model = dict(test_cfg=dict(calibration=dict(temperature=2.0, shift=0.5)))\n')
    command(image, 'the cup', '--config', config, '--weights', weights, '--out', str(tmp_path / 'demo.png'))
    answer, = RefSegInferencer(config, weights, 'cpu')(image, 'the cup')
    assert f', confidence {answer.confidence:.2f}, ' in capsys.readouterr().out


@pytest.mark.parametrize(('change', 'message'), [
    ({'image': 'nowhere.jpg'}, "no image file 'nowhere.jpg'"),
    ({'expression': ' '}, 'blank'),
    ({'config': 'sera_huge'}, "no config 'sera_huge'"),
    ({'weights': 'nowhere.pth'}, 'no checkpoint nowhere.pth'),
    ({'out': 'answers.txt'}, 'must end in one of'),
])
def test_mistakes_get_one_line(command, image, weights, change, message):
    use = {'image': image, 'expression': 'the cup', 'config': CONFIG, 'weights': weights, 'out': 'no.png', **change}
    with pytest.raises(SystemExit, match=f'^image_demo: .*{message}') as stopped:
        command(use['image'], use['expression'], *(f'--{key}={use[key]}' for key in ('config', 'weights', 'out')))
    assert '\n' not in stopped.value.code


def test_a_folder(command, image, weights, tmp_path, capsys):
    (tmp_path / 'broken.jpg').write_bytes(b'<html>')
    out = tmp_path / 'out'
    command(str(tmp_path), 'the cup', 'all', '--config', CONFIG, '--weights', weights, '--out', str(out))
    assert capsys.readouterr().out.splitlines()[-1] == f'2 answers are in {out}: answers.jsonl and a picture of each'
    lines = [json.loads(line) for line in (out / 'answers.jsonl').read_text().splitlines()]
    assert [line['expression'] for line in lines] == ['the cup', 'all']
    assert {line['image_path'] for line in lines} == {image}
    assert all(cv2.imread(str(out / line['picture'])) is not None for line in lines)


def test_an_input_is_not_drawn_over(command, image, weights, tmp_path):
    other = Path(image).rename(tmp_path / '000002_photo.jpg')
    (tmp_path / 'photo.jpg').write_bytes(content := other.read_bytes())
    with pytest.raises(SystemExit, match='000002_photo.jpg is a file that is read, and would be lost'):
        command(str(tmp_path), 'the cup', '--config', CONFIG, '--weights', weights, '--out', str(tmp_path))
    assert other.read_bytes() == content


def test_links_of_the_folder_are_not_written_through(command, image, weights, tmp_path):
    victim, out = tmp_path / 'victim', tmp_path / 'out'
    victim.write_text('precious')
    out.mkdir()
    (out / '000001_image.jpg').symlink_to(victim)
    command(str(tmp_path), 'the cup', '--config', CONFIG, '--weights', weights, '--out', str(out))
    assert cv2.imread(str(out / '000001_image.jpg')) is not None
    (out / 'answers.jsonl').unlink()
    (out / 'answers.jsonl').symlink_to(victim)
    with pytest.raises(SystemExit, match='answers.jsonl is a link to .*victim'):
        command(str(tmp_path), 'the cup', '--config', CONFIG, '--weights', weights, '--out', str(out))
    assert victim.read_text() == 'precious'


def test_an_interruption_keeps_what_is_done(command, image, weights, tmp_path, monkeypatch):
    stream = RefSegInferencer.stream

    def interrupted(*args, **kwargs):
        yield next(stream(*args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(RefSegInferencer, 'stream', interrupted)
    with pytest.raises(SystemExit) as stopped:
        command(str(tmp_path), 'the cup', 'all', '--config', CONFIG, '--weights', weights, '--out', str(tmp_path / 'o'))
    assert stopped.value.code == 130
    assert json.loads((tmp_path / 'o/answers.jsonl').read_text())['expression'] == 'the cup'
