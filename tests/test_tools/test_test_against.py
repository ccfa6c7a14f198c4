"""Two tiny models that are tested on the same data, from the command line."""
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.utils.shipped_files import config_path

TOOL = Path(__file__).parents[2] / 'tools/test.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A model, and one with a presence output more that reads no data of its own."""
    folder = tmp_path_factory.mktemp('against')
    make_refshapes(folder / 'data', {'val': 4, 'testA': 2}, image_size=(96, 64), seed=1)
    base = f'_base_ = {config_path("sera_tiny_refshapes")!r}\n'
    (folder / 'own.py').write_text(base + "test_dataloader = dict(num_workers=0, dataset=dict(data_root='data'))\n")
    (folder / 'other.py').write_text(base + "model = dict(decode_head=dict(presence=dict(threshold=0.0)))\n"
                                            "test_dataloader = dict(dataset=dict(data_root='nowhere'))\n")
    for seed, name in enumerate(('own', 'other')):
        torch.manual_seed(seed)
        model = build_model(read_config(folder / f'{name}.py'))
        model.decode_head.kernel.weight.data *= 30  # masks that are neither empty nor full
        torch.save(model.state_dict(), folder / f'{name}.pth')
    return folder


@pytest.fixture
def command(monkeypatch, folder):
    """Run the command; returns both files that it wrote."""

    def call(*arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['test.py', *arguments, '--work-dir', 'work'])
        runpy.run_path(str(TOOL), run_name='__main__')
        return [json.loads(Path('work', name).read_text()) for name in ('metrics.json', 'against.json')]

    return call


def test_figures_of_both(command, capsys):
    splits = '--splits', 'val', 'testA', '--absent-splits', 'val'
    metrics, against = command('own.py', 'own.pth', '--against', 'other.py', 'other.pth', *splits, '--out', 'out.json')
    assert against['against'] == ['other.py', 'other.pth']
    assert list(against['splits']) == ['val', 'testA'], 'no truth to count by where it is asked otherwise'
    assert set(metrics) == {'protocols', 'val', 'testA', 'val_absent'}
    for split, found in against['splits'].items():
        assert found['images'] == dict(val=4, testA=2)[split]
        for figure in ('mIoU', 'oIoU', 'Pr@50'):
            assert found['figures'][figure]['mean'] == pytest.approx(metrics[split][figure])
            assert found['differences'][figure]['mean'] == pytest.approx(
                found['figures'][figure]['mean'] - found['against'][figure]['mean'])
    assert set(json.loads(Path('out.json').read_text())) == {*metrics}
    alone, _ = command('other.py', 'other.pth', '--cfg-options', 'test_dataloader.dataset.data_root=data',
                       'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False')
    found = against['splits']['val']
    assert found['against']['mIoU']['mean'] == pytest.approx(alone['val']['mIoU'])
    assert found['differences']['mIoU']['mean'] != 0
    assert f'mIoU {found["figures"]["mIoU"]["mean"]:.1f} against {alone["val"]["mIoU"]:.1f}' in capsys.readouterr().out
