from pathlib import Path

import pytest
from mmengine.config import Config

from mmrefseg import config_path

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('name', [
    'sera/sera_dinov2_refcoco.py', 'sera/sera_dinov2_refcoco', 'sera_dinov2_refcoco', 'sera_dinov2_refcoco.py'])
def test_names(name):
    assert config_path(name) == str(CONFIGS / 'sera' / 'sera_dinov2_refcoco.py')


def test_unknown_name():
    with pytest.raises(FileNotFoundError, match=r'did you mean .*sera/sera_dinov2_refcoco\.py'):
        config_path('sera_dino_refcoco')
    with pytest.raises(FileNotFoundError, match=r'one of those in .*configs'):
        config_path('xyzzy')


def test_part_of_a_name_is_not_enough():
    with pytest.raises(FileNotFoundError):
        config_path('dinov2_refcoco')


def test_ambiguous_name(tmp_path, monkeypatch):
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'same.py').touch()
    (tmp_path / 'same2.py').touch()
    (tmp_path / 'b' / 'same2.py').touch()
    monkeypatch.setattr('mmrefseg.utils.shipped_files.shipped_folder', lambda name: tmp_path)
    with pytest.raises(ValueError, match=r'a/same\.py, b/same\.py'):
        config_path('same')
    assert config_path('same2') == str(tmp_path / 'same2.py')


def test_another_project_inherits(tmp_path):
    base = Config.fromfile(config_path('sera/sera_tiny_refshapes.py'))
    folder = tmp_path / 'other_project' / 'configs'
    folder.mkdir(parents=True)
    (folder / 'runtime.py').write_text("work_dir = 'elsewhere'\n")
    (folder / 'mine.py').write_text(
        "_base_ = [__import__('mmrefseg').config_path('sera/sera_tiny_refshapes.py'), './runtime.py']\n"
        "model = dict(backbone=dict(img_size=56))\n"
        "train_dataloader = dict(batch_size=_base_.train_dataloader.batch_size // 2)\n"
        "pixels = {{_base_.input_size}}\n"
        "custom_imports = dict(imports=['mmrefseg'])\n")
    mine = Config.fromfile(folder / 'mine.py')
    assert mine.model.backbone.img_size == 56
    assert mine.model.backbone.type == base.model.backbone.type
    assert mine.train_dataloader.batch_size == base.train_dataloader.batch_size // 2
    assert mine.pixels == base.input_size
    assert mine.work_dir == 'elsewhere'
    assert mine.default_scope == 'mmrefseg'
    assert Config.fromstring(mine.pretty_text, '.py').model == mine.model
