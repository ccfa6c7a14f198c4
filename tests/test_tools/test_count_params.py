"""The command that counts a model's parameters."""
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

import mmrefseg
from mmrefseg.registry import MODELS
from mmrefseg.utils.model_complexity import parameter_table

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/count_params.py'


@pytest.fixture
def command(monkeypatch, capsys):

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, 'argv', ['count_params.py', *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out

    return call


def test_table_of_the_full_model(command):
    """No weights are there, and the sizes are those of the published encoders."""
    rows = {line.split()[0]: line.split()[1:] for line in command('sera_dinov2_refcoco').splitlines()[-3:]}
    total, trainable, share = rows['pretrained']
    assert total == f'{86_582_016 + 63_428_096:,}'  # DINOv2-B/14 with registers and CLIP's text transformer
    assert int(trainable.replace(',', '')) / (86_582_016 + 63_428_096) < 0.01
    assert float(share.rstrip('%')) < 1


def test_it_is_the_table_of_the_log(command):
    path = mmrefseg.config_path('sera_tiny_refshapes')
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(Config.fromfile(path).model)
    assert command(path) == parameter_table(model) + '\n'


def test_options(command):
    options = ('--cfg-options', 'model.backbone.tuning=none', 'model.text_encoder.tuning=none')
    rows = [line.split() for line in command('sera_dinov2_refcoco', *options).splitlines()]
    assert [row[2] for row in rows if row[0] == 'pretrained'] == ['0'] * 3


def test_models_that_need_values_to_be_built(command, tmp_path):

    @MODELS.register_module(force=True)
    class NeedsValues(nn.Linear):

        def __init__(self):
            super().__init__(round(torch.linspace(0, 8, 2)[1].item()), 1)

    config = tmp_path / 'config.py'
    config.write_text("model = dict(type='NeedsValues')")
    assert command(config).splitlines()[-1].split() == ['whole', 'model', '9', '9', '100.00%']


@pytest.mark.parametrize(('text', 'options', 'message'), [
    (None, (), r'mmrefseg has no config .*config\.py'),
    ('x = 1', (), r'config\.py has no model'),
    ("model = dict(type='NoSuchModel')", (), "type='NoSuchModel' names no model"),
    (f'_base_ = {mmrefseg.config_path("sera_tiny_refshapes")!r}', ('--cfg-options', 'model.backbone.tuning=most'),
     "tuning of PlainViT is 'most'; it must be one of 'none', 'norm_bias', 'all'"),
], ids=['no config', 'no model', 'unknown part', 'unknown mode'])
def test_mistakes_get_one_line(command, tmp_path, text, options, message):
    config = tmp_path / 'config.py'
    if text:
        config.write_text(text)
    with pytest.raises(SystemExit, match=f'^count_params: .*{message}') as stopped:
        command(config, *options)
    assert '\n' not in stopped.value.code
