"""What a plain ``pip install`` of the wheel brings: neither mmcv nor mmengine nor mmsegmentation."""
import json
import subprocess
import sys

import pytest

PLAIN = """
import importlib.metadata
import sys

sys.modules.update(dict.fromkeys(('mmcv', 'mmengine', 'mmseg', 'mmpretrain', 'mmdet')))
version = importlib.metadata.version
brought = {name: found for name, found in importlib.metadata.packages_distributions().items() if name[:2] != 'mm'}


def version_here(name):
    if name.removeprefix('onedl-').startswith('mm') and name != 'mmrefseg':
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)


importlib.metadata.version = version_here
importlib.metadata.packages_distributions = lambda: brought
"""
PYTHON = PLAIN + """
import json
import numpy as np
import mmrefseg
from mmrefseg.evaluation.evaluate_arrays import evaluate

truth = np.zeros((4, 4), bool)
truth[:2] = True
print(json.dumps(evaluate([truth[::-1], truth], [truth, truth])['mIoU']))


def refusal(statement):
    try:
        exec(statement, {})
    except ImportError as error:
        return type(error).__name__, str(error)


print(json.dumps([refusal(statement) for statement in sys.argv[1:]]))
"""
COMMANDS = PLAIN + """
import contextlib
import io
import json
from mmrefseg.__main__ import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ['mmrefseg', *arguments]
    told = io.StringIO()
    status = 0
    with contextlib.redirect_stdout(told):
        try:
            main()
        except SystemExit as ending:
            status = ending.code
    print(json.dumps([status, told.getvalue()]))
"""
STATEMENTS = [
    'from mmrefseg import register_all_modules', 'from mmrefseg.apis import RefSegInferencer',
    'from mmrefseg.datasets import RefCOCODataset', 'from mmrefseg.evaluation import ReferringIoUMetric',
    'from mmrefseg.structures import RefSegDataSample', *(
        f'import mmrefseg.{part}' for part in ('models', 'engine', 'checkpoints', 'registry', 'apis.inference',
                                               'evaluation.metrics', 'datasets.transforms'))]


def run(code, *arguments):
    ended = subprocess.run([sys.executable, '-c', code, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_figures_of_arrays_and_what_else_would_need():
    figure, refusals = run(PYTHON, *STATEMENTS, 'from mmrefseg.apis import no_such_name')
    assert figure == 50
    *refusals, (kind, unknown) = refusals
    for kind, message in refusals:
        assert kind == 'MissingPackageError'
        assert 'mmcv is not installed, needed is ' in message and 'mmengine is not installed' in message
        assert message.splitlines()[-1].endswith('pip install "mmrefseg[openmmlab]" mmcv-lite==2.1.0')
    assert unknown.startswith("cannot import name 'no_such_name'")


@pytest.fixture(scope='module')
def commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    table = folder / 'table.csv'
    table.write_text('image,expression,mask\na.jpg,the dog,a.png\n')
    lines = [
        ('refshapes', str(folder / 'shapes'), *(word for split in ('train', 'val', 'testA', 'testB')
                                                for word in (f'--num-{split}', '2')), '--workers', '1'),
        ('import', 'table', str(table), '--out', str(folder / 'mine')),
        ('doctor', 'sera_tiny_refshapes'),
        ('train', 'sera_tiny_refshapes'),
        ('ask', '--help')]
    return folder, dict(zip((line[0] for line in lines), run(COMMANDS, json.dumps(lines)), strict=True))


def test_commands_that_work(commands):
    folder, ended = commands
    assert ended['refshapes'][0] == 0 and (folder / 'shapes/instances.json').is_file()
    assert str(ended['import'][0]).startswith('mmrefseg import: ') and 'a.jpg' in ended['import'][0]


def test_doctor_says_what_to_run(commands):
    status, text = commands[1]['doctor']
    assert status == 1 and '  mmcv          not installed\n' in text
    problem = text.partition('problem 1: ')[2]
    assert 'mmcv is not installed' in problem and 'pip install "mmrefseg[openmmlab]"' in problem
    assert 'problem 2' not in problem and 'config sera_tiny_refshapes: not read' in text


@pytest.mark.parametrize('name', ['train', 'ask'])
def test_other_commands_say_what_to_run(commands, name):
    status, text = commands[1][name]
    assert not text and status.startswith(f'mmrefseg {name}: mmrefseg cannot run here:\n  - mmcv is not installed')
    assert 'pip install "mmrefseg[openmmlab]" mmcv-lite' in status.splitlines()[-1]
