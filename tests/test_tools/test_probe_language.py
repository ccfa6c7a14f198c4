"""A tiny model that is asked otherwise, from the command line."""
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.datasets.changed_expressions import EXPRESSION_CHANGES
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.utils.shipped_files import config_path

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/probe_language.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('probe')
    make_refshapes(folder / 'data', {'val': 4, 'testA': 2}, image_size=(96, 64), seed=1)
    (folder / 'model.py').write_text(f'_base_ = {config_path("sera_tiny_refshapes")!r}\n'
                                     "test_dataloader = dict(num_workers=0, dataset=dict(data_root='data'))\n")
    torch.manual_seed(0)
    model = build_model(read_config(folder / 'model.py'))
    model.decode_head.kernel.weight.data *= 30  # masks that are neither empty nor full
    torch.save(model.state_dict(), folder / 'weights.pth')
    return folder


@pytest.fixture
def command(monkeypatch, folder, capsys):
    """Run the command; returns what it wrote and printed."""

    def call(*arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['probe_language.py', 'model.py', 'weights.pth', '--work-dir', 'work',
                                          *arguments])
        runpy.run_path(str(TOOL), run_name='__main__')
        return json.loads(Path('work/probe.json').read_text()), capsys.readouterr().out

    return call


def test_all_changes(command):
    report, printed = command('--split', 'val')
    rows = report['splits']['val']['asked']
    assert list(rows) == ['as it is', *EXPRESSION_CHANGES]
    assert rows['as it is']['figures'] == rows['as it is']['own']
    assert rows['as it is']['expressions'] == rows['permuted']['expressions'] > rows['places']['expressions'] > 0
    own = rows['as it is']['figures']['mIoU']['mean']
    assert own > 0 and all(row['figures']['mIoU']['mean'] != own for name, row in rows.items() if name != 'as it is')
    for row in rows.values():
        assert row['differences']['mIoU']['mean'] == pytest.approx(
            row['figures']['mIoU']['mean'] - row['own']['mIoU']['mean'])
    assert all(sentence in printed for sentence in report['splits']['val']['verdicts'])
    assert 'names nothing' not in printed and 'absent: expressions that name nothing there' in ' '.join(printed.split())


def test_some_changes_of_some_splits_under_another_protocol(command):
    report, _ = command('--split', 'val', 'testA', '--changes', 'empty', '--protocol', 'lavt')
    assert list(report['splits']) == ['val', 'testA'] and list(report['protocols']) == ['lavt']
    assert all(list(split['asked']) == ['as it is', 'empty'] for split in report['splits'].values())


def test_changes_that_no_expression_allows_are_named(command, folder):
    file = folder / 'data/instances.json'
    content = file.read_text()
    try:
        file.write_text(json.dumps({**json.loads(content), 'categories': []}))
        report, printed = command('--split', 'testA', '--changes', 'absent', 'empty')
    finally:
        file.write_text(content)
    assert list(report['splits']['testA']['asked']) == ['as it is', 'empty']
    assert 'testA: not asked, as no expression allows it: absent' in printed


def test_mistakes_get_a_message(command):
    with pytest.raises(SystemExit, match="has no split 'testC'"):
        command('--split', 'testC')
