import json
import runpy
import sys
from pathlib import Path

import pytest
from helpers.refcoco_files import tiny_refcoco, write_refcoco

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/dataset_stats.py'


@pytest.fixture
def stats(tmp_path, monkeypatch, capsys):

    def call(*arguments: str, **loaders: dict) -> tuple[dict, str]:
        """Write a config, run the tool on it; what it wrote and printed."""
        (tmp_path / 'data.py').write_text(''.join(f'{name}_dataloader = dict(dataset={dataset!r})\n'
                                                  for name, dataset in loaders.items()))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', ['dataset_stats.py', 'data.py', '--out', 'new/out', *arguments])
        drawn = []
        monkeypatch.setattr('mmrefseg.visualization.draw_statistics', lambda sets, path: drawn.append((sets, path)))
        runpy.run_path(str(TOOL), run_name='__main__')
        (sets, path), = drawn
        assert path == Path('new/out/dataset_stats.png') and sets
        return json.loads((tmp_path / 'new/out/dataset_stats.json').read_text()), capsys.readouterr().out

    return call


@pytest.fixture
def tiny(tmp_path) -> dict:
    return dict(type='RefCOCODataset', data_root=str(write_refcoco(tmp_path / 'tiny', tiny_refcoco())))


SIZES = dict.fromkeys(['none', '0-0.1 %', '0.1-0.25 %', '0.25-0.5 %', '0.5-1 %', '1-2.5 %', '2.5-5 %', '5-10 %',
                       '10-25 %', '25-50 %', '50-100 %'], 0)


def test_counts(stats, tiny):
    found, printed = stats(train=tiny, val=dict(tiny, split='val'))
    assert found == {f'{tiny["data_root"]} (unc)': {
        'train': {
            'images': 3, 'refs': 3, 'expressions': 4, 'words': {'1': 1, '2': 2, '3': 1},
            'kinds': {'attribute': 2, 'location': 2},  # "tall man" and "corner" carry none, and are sorted by words
            'expressions_per_ref': {'1': 2, '2': 1}, 'refs_per_image': {'1': 3},
            'size': {**SIZES, '10-25 %': 2, '5-10 %': 1},
            'median_size': pytest.approx(100 / 768),  # of 184 and 100 pixels in 768, and 80 in 800
        },
        'val': {
            'images': 1, 'refs': 1, 'expressions': 1, 'words': {'1': 1}, 'kinds': {'attribute': 1},
            'expressions_per_ref': {'1': 1}, 'refs_per_image': {'1': 1}, 'size': {**SIZES, '50-100 %': 1},
            'median_size': 1.0,
        }}}
    assert f'{tiny["data_root"]} (unc) train: 3 images, 3 referents, 4 expressions\n' in printed


def test_sources_of_mixtures_and_other_splits(stats, tiny, tmp_path):
    other = dict(tiny, data_root=str(write_refcoco(tmp_path / 'other', tiny_refcoco())))
    found, _ = stats(train=dict(type='ReferringMixture', datasets=[tiny], held_out=[other], allow_leakage=True),
                     test=other)
    assert [list(splits) for splits in found.values()] == [['train', 'val'], ['train', 'val']]
    found, _ = stats('--splits', 'val', 'testA', train=tiny)
    assert [list(splits) for splits in found.values()] == [['val']]


def test_expressions_without_a_referent(stats, tmp_path):
    (tmp_path / 'own/annotations').mkdir(parents=True)
    (tmp_path / 'own/images').mkdir()
    lines = [dict(image='a.png', image_key='own/a', expression=text, mask=mask, height=8, width=8)
             for text, mask in (('cup', None), ('mug', [[0, 0, 8, 0, 8, 8, 0, 8]]))]
    (tmp_path / 'own/annotations/val.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    found, _ = stats(test=dict(type='JSONLinesDataset', data_root=str(tmp_path / 'own')))
    split, = found[str(tmp_path / 'own')].values()
    assert split['size'] == {**SIZES, 'none': 1, '50-100 %': 1}


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--splits', 'testC'], 'names no data set of mmrefseg.* with a split testC'),
    (['--cfg-options', 'train_dataloader.dataset.data_root=nowhere'], 'nowhere is missing'),
    (['--cfg-options', 'train_dataloader.dataset.type=ConcatDataset'], 'names no data set of mmrefseg'),
])
def test_mistakes_get_a_message(stats, tiny, arguments, message):
    with pytest.raises(SystemExit, match=f'^dataset_stats: .*{message}'):
        stats(*arguments, train=tiny)


def test_the_files(tiny, tmp_path, monkeypatch):
    (tmp_path / 'data.py').write_text(f'val_dataloader = dict(dataset={dict(tiny, split="val")!r})\n')
    monkeypatch.setattr(sys, 'argv', ['dataset_stats.py', str(tmp_path / 'data.py'), '--out', str(tmp_path / 'out')])
    runpy.run_path(str(TOOL), run_name='__main__')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['dataset_stats.json', 'dataset_stats.png']


def test_a_broken_mask_is_named(stats, tmp_path):
    content = tiny_refcoco()
    content['annotations'][1]['segmentation']['counts'] = [1]
    data_root = str(write_refcoco(tmp_path / 'broken', content))
    with pytest.raises(SystemExit, match=r'mask of annotation 12 of the image .*two\.png cannot be drawn: the runs'):
        stats(train=dict(type='RefCOCODataset', data_root=data_root))
