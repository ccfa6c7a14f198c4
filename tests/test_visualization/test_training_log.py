"""Reading what a training wrote down."""
import json
import os
from pathlib import Path

import pytest
from mmengine.visualization import LocalVisBackend

from mmrefseg.errors import InputError
from mmrefseg.visualization import find_runs, read_log


def write_run(work_dir: Path, name: str, losses: dict[int, float]) -> Path:
    folder = work_dir / name / 'vis_data'
    backend = LocalVisBackend(str(folder))
    for step, loss in losses.items():
        backend.add_scalars({'routing/a/b/weight': 0.5}, step=step)
        backend.add_scalars({'loss': loss, 'time': 0.1}, step=step)
    return folder


def test_lines_of_a_step_are_one(tmp_path):
    write_run(tmp_path, '1', {50: 1.0, 100: 0.5})
    scalars = {'routing/a/b/weight': 0.5, 'time': 0.1}
    assert read_log(tmp_path) == {50: {**scalars, 'loss': 1.0}, 100: {**scalars, 'loss': 0.5}}


def test_resumed_training_continues(tmp_path):
    write_run(tmp_path, '1', {50: 1.0, 100: 0.9, 150: 0.8})
    write_run(tmp_path, '2', {150: 0.7, 200: 0.6})
    assert {step: scalars['loss'] for step, scalars in read_log(tmp_path).items()} == {
        50: 1.0, 100: 0.9, 150: 0.7, 200: 0.6}


def test_new_training_counts_alone(tmp_path):
    write_run(tmp_path, '1', {50: 1.0, 100: 0.9})
    last = write_run(tmp_path, '2', {50: 3.0})
    assert {step: scalars['loss'] for step, scalars in read_log(tmp_path).items()} == {50: 3.0}
    assert find_runs(tmp_path)[-1] == last


def test_tests_are_no_trainings(tmp_path):
    training = write_run(tmp_path, '1', {50: 1.0})
    LocalVisBackend(str(tmp_path / '2/vis_data')).add_scalars({'mIoU': 50.0}, step=0)
    assert find_runs(tmp_path) == [training]
    assert list(read_log(tmp_path)) == [50]


def test_a_log_that_is_no_file(tmp_path):
    (tmp_path / '1/vis_data').mkdir(parents=True)
    os.mkfifo(tmp_path / '1/vis_data/scalars.json')
    with pytest.raises(InputError, match='is no file, but a folder, pipe or device'):
        find_runs(tmp_path)


def test_nothing_was_trained(tmp_path):
    for folder in (tmp_path, tmp_path / 'nowhere'):
        with pytest.raises(FileNotFoundError, match=r'scalars\.json with a loss'):
            read_log(folder)


@pytest.mark.parametrize('line', [
    '{"loss": 1.0, "step"', '[1]', '{"loss": 1.0}', '3', '{"loss": 1.0, "step": "a"}', '{"loss": 1.0, "step": 1.5}',
    '{"loss": "a", "step": 1}', '{"loss": [], "step": 1}', '{"loss": 1%s, "step": 1}' % ('0' * 400), '[' * 100_000,
    '{"loss": 1, "loss": 2, "step": 1}'])
def test_damaged_log(tmp_path, line):
    file = write_run(tmp_path, '1', {50: 1.0}) / 'scalars.json'
    file.write_text(json.dumps({'loss': 1.0, 'step': 1}) + '\n' + line)
    with pytest.raises(ValueError, match=r'line 2 of .*scalars\.json'):
        read_log(tmp_path)
