import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/download_weights.py'


@pytest.fixture
def run(tmp_path):

    def run(*arguments):
        return subprocess.run([sys.executable, str(TOOL), *arguments],
                              cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run


def test_lists_what_is_needed_once(run, tmp_path):
    there = tmp_path / 'pretrained/dinov2_vitb14_reg4_pretrain.pth'
    there.parent.mkdir()
    there.touch()
    result = run('--list', 'sera_dinov2_refcoco', 'sera_dinov2_refcoco-plus')
    assert result.returncode == 0, result.stderr
    text, vision = result.stdout.splitlines()
    assert vision.startswith('pretrained/dinov2_vitb14_reg4_pretrain.pth is there; from https://dl.fbaipublicfiles')
    assert text.startswith('pretrained/vit_base_patch16_clip_224.openai/open_clip_model.safetensors is missing; from')


def test_says_where_to_get_what_cannot_be_downloaded(run, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("model = dict(init_cfg=dict(type='Pretrained', checkpoint='here/dinov2_vitb14_pretrain.pth'))")
    (tmp_path / 'here').touch()  # a file where a folder is needed: fails before anything is asked for
    result = run(str(config))
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    assert 'dinov2_vitb14_pretrain.pth is missing; from https://dl.fbaipublicfiles' in result.stderr


def test_unknown_config(run):
    result = run('no-such-config')
    assert result.returncode == 1
    assert result.stderr.startswith('download_weights: ') and 'Traceback' not in result.stderr


def test_a_config_without_a_model(run, tmp_path):
    (tmp_path / 'data.py').write_text("data_root = 'data'")
    result = run(str(tmp_path / 'data.py'))
    assert result.returncode == 1
    assert 'has no model' in result.stderr and 'Traceback' not in result.stderr
