import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.utils.shipped_files import config_path

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/browse_dataset.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """A data set and its config, whose training mirrors every image."""
    folder = tmp_path_factory.mktemp('browse')
    write_refcoco(folder / 'data', tiny_refcoco())
    pipeline = [dict(type='LoadReferringImage'), dict(type='LoadReferringMask'), dict(type='SampleSentence'),
                dict(type='FlipReferring', prob=1.0), dict(type='Stretch', size=20), dict(type='PackRefSegInputs')]
    (folder / 'tiny.py').write_text(
        f'_base_ = {config_path("_base_/datasets/refshapes")!r}\n'
        f"train_dataloader = dict(dataset=dict(data_root={str(folder / 'data')!r}, pipeline={pipeline!r}))\n"
        f"test_dataloader = dict(dataset=dict(data_root={str(folder / 'data')!r}))\n")
    return folder


@pytest.fixture
def browse(folder, tmp_path, monkeypatch):
    """Run the tool with arguments; returns the pairs of each picture by its name."""

    def call(*arguments: object, config: str = 'tiny.py') -> dict[str, list]:
        pictures = {}
        monkeypatch.setattr('mmrefseg.visualization.draw_pairs',
                            lambda pairs, path: pictures.update({path.name: pairs}))
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['browse_dataset.py', config, '--out', str(tmp_path / 'out'),
                                          *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return pictures

    return call


def test_before_and_after_the_training_pipeline(browse, folder, capsys):
    pairs, = browse().values()
    assert [pair.origin for pair in pairs] == [
        'ref 0: 32x24, one.jpg', 'ref 1: 20x40, two.png', 'ref 2: 32x24, three.jpg']
    assert [pair.before.caption for pair in pairs] == ['the left cup / red cup', 'tall man', 'corner']
    assert pairs[0].after.caption in ('the right cup', 'red cup')
    png = cv2.imread(str(folder / 'data/images/two.png'))[..., ::-1]
    np.testing.assert_array_equal(pairs[1].before.image, png)
    assert pairs[1].before.mask.sum() == 80
    for pair in pairs:
        assert pair.after.image.shape == (20, 20, 3)
        expected = cv2.resize(pair.before.mask[:, ::-1].copy(), (20, 20), interpolation=cv2.INTER_NEAREST)
        assert np.abs(pair.after.mask.astype(int) - expected).mean() < 0.06
    assert capsys.readouterr().out.endswith('out/train_1.png\n')


def test_the_test_pipeline_keeps_the_mask_on_its_object(browse):
    pairs, = browse('--split', 'val').values()
    assert [pair.after.caption for pair in pairs] == ['everything']
    assert pairs[0].after.image.shape == (112, 112, 3)
    border = 14  # of a letterbox of 32x24 pixels
    assert pairs[0].after.mask[border + 4:-border - 4, 4:-4].all()
    assert not pairs[0].after.mask[:border - 4].any()


def test_numbers_and_seeds(browse):
    drawn = {seed: browse('--number', 2, '--seed', seed)['train_1.png'] for seed in range(6)}
    assert all(len(pairs) == 2 for pairs in drawn.values())
    assert len({tuple(pair.origin for pair in pairs) for pairs in drawn.values()}) > 1
    again = browse('--number', 2, '--seed', 3)['train_1.png']
    assert [pair.after.caption for pair in again] == [pair.after.caption for pair in drawn[3]]
    captions = {browse('--seed', seed)['train_1.png'][0].after.caption for seed in range(8)}
    assert captions == {'the right cup', 'red cup'}


def test_files_are_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['browse_dataset.py', str(folder / 'tiny.py'), '--out', str(tmp_path / 'new/out'),
                                      '--number', '2'])
    tool = runpy.run_path(str(TOOL))
    tool['main'].__globals__['PER_PICTURE'] = 1
    tool['main']()
    assert sorted(path.name for path in (tmp_path / 'new/out').iterdir()) == ['train_1.png', 'train_2.png']
    assert cv2.imread(str(tmp_path / 'new/out/train_2.png')) is not None


@pytest.mark.parametrize(('arguments', 'config', 'message'), [
    (['--number', '0'], 'tiny.py', 'at least one sample'),
    (['--split', 'testC'], 'tiny.py', r"no split 'testC'"),
    ([], 'no-such-config', "no config 'no-such-config'"),
    ([], '_base_/default_runtime.py', r'has no train_dataloader\.dataset'),
    (['--cfg-options', 'train_dataloader.dataset.data_root=nowhere'], 'tiny.py', 'nowhere is missing'),
])
def test_mistakes_get_a_message(browse, arguments, config, message):
    with pytest.raises(SystemExit, match=f'^browse_dataset: .*{message}'):
        browse(*arguments, config=config)
