"""Configs of MMEngine's newer style, with classes in the place of names, do in the tools."""
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from helpers.configs import newer_style
from mmengine.config import Config

from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.apis.finetuning_config import OwnData, finetune_config
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.registry import type_name
from mmrefseg.utils.shipped_files import config_path

TOOLS = Path(__file__).parents[2] / 'tools'
CHANGES = {
    'train_dataloader': dict(batch_size=2, num_workers=0, persistent_workers=False),
    'val_dataloader': dict(batch_size=2, num_workers=0, persistent_workers=False),
    'test_dataloader': dict(batch_size=4, num_workers=0, persistent_workers=False),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Data, newer.py, weights, and predictions of it."""
    folder = tmp_path_factory.mktemp('newer')
    make_refshapes(folder / 'data', {'train': 1, 'val': 1, 'testA': 1}, image_size=(96, 64), seed=1)
    config = Config.fromfile(config_path('sera_tiny_refshapes'))
    for name, settings in CHANGES.items():
        config[name].update(settings)
        config[name].dataset.data_root = str(folder / 'data')
    config.test_dataloader.dataset.split = 'val'
    (folder / 'newer.py').write_text(newer_style(config))
    torch.manual_seed(0)
    model = build_model(read_config(folder / 'newer.py'))
    torch.save(model.state_dict(), folder / 'weights.pth')
    return folder


@pytest.fixture
def run(folder, monkeypatch):

    def run(tool, *arguments):
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend((TOOLS / tool).parent)
        monkeypatch.setattr(sys, 'argv', [Path(tool).name, *map(str, arguments)])
        try:
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
        except SystemExit as end:
            assert not end.code

    return run


def test_it_says_what_the_classic_one_says(folder):
    assert 'ReferringSegmentor' in (folder / 'newer.py').read_text()
    newer, classic = read_config(folder / 'newer.py'), read_config('sera_tiny_refshapes')
    assert newer.model.type == 'mmrefseg.ReferringSegmentor' and classic.model.type == 'ReferringSegmentor'
    assert newer.optim_wrapper.optimizer.type == 'mmrefseg.MuonAdamW' and 'default_scope' not in newer
    assert str(build_model(newer)) == str(build_model(classic))
    (folder / 'again.py').write_text(newer.pretty_text)
    assert read_config(folder / 'again.py').to_dict() == newer.to_dict()


@pytest.mark.parametrize('tool', [
    ('analysis_tools/analyze_routing.py', 'newer.py', 'weights.pth', '--out', 'routing'),
    ('analysis_tools/cross_eval.py', 'newer.py', 'weights.pth', '--on', 'newer.py', '--splits', 'testA'),
    ('analysis_tools/audit_leakage.py', 'newer.py'),
    ('model_converters/push_model.py', 'newer.py', 'weights.pth', 'pushed'),
    ('image_demo.py', 'data/images', 'all', '--config', 'newer.py', '--weights', 'weights.pth', '--device', 'cpu'),
    ('predict.py', 'newer.py', 'weights.pth', 'data/images', '--expressions', 'all', '--device', 'cpu', '--out', 'out'),
], ids=lambda tool: tool[0])
def test_tools(run, tool):
    run(*tool)


def test_predictions(run, folder):
    run('test.py', 'newer.py', 'weights.pth', '--work-dir', 'test', '--out', 'predictions.json')
    run('analysis_tools/evaluate_predictions.py', 'predictions.json', '--on', 'newer.py', '--out', 'evaluated.json')
    figures = json.loads((folder / 'test/metrics.json').read_text())['val']
    evaluated = json.loads((folder / 'evaluated.json').read_text())['splits']['val']['figures']['cris']
    assert evaluated['mIoU']['mean'] == pytest.approx(figures['mIoU'], abs=0.01)
    run('analysis_tools/analyze_errors.py', 'predictions.json', '--on', 'newer.py', '--out', 'errors')


def test_fine_tuning(folder):
    data = OwnData(folder / 'own', 4, ['val'], False)
    config = finetune_config(folder / 'newer.py', data, folder / 'weights.pth', absent=0.2)
    (folder / 'finetune.py').write_text(config.pretty_text)
    written, classic = read_config(folder / 'finetune.py'), finetune_config('sera_tiny_refshapes', data, absent=0.2)
    assert written.model.decode_head.presence == {}
    steps, expected = (found.train_dataloader.dataset.dataset.pipeline for found in (written, classic))
    assert [dict(step, type=type_name(step.type)) for step in steps] == expected
    build_model(written)
