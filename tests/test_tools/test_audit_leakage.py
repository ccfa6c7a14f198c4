"""Which images splits share, on made-up refs about COCO's image ids."""
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.refcoco_files import write_refs_on_images

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/audit_leakage.py'


@pytest.fixture
def sets(tmp_path) -> tuple[dict, dict]:
    return (write_refs_on_images(tmp_path / 'first', {'train': [1, 2, 3, 4], 'val': [5], 'testA': [6, 7]}),
            write_refs_on_images(tmp_path / 'second', {'train': [1, 5, 6, 7, 8], 'val': [2, 3], 'test': [9]}))


@pytest.fixture
def audit(tmp_path, monkeypatch, capsys):

    def call(*arguments: str, **loaders: dict) -> tuple[int | str, dict, str]:
        """Write a config with the data sets of loaders, run the tool; exit status, report and what was printed."""
        (tmp_path / 'model.py').write_text(''.join(f'{name}_dataloader = dict(dataset={dataset!r})\n'
                                                   for name, dataset in loaders.items()))
        out = tmp_path / 'new/out.json'
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', ['audit_leakage.py', *(arguments or ['model.py']), '--out', str(out)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        return end.value.code, json.loads(out.read_text()) if out.is_file() else {}, capsys.readouterr().out

    return call


def test_a_config_that_leaks(audit, sets):
    first, second = sets
    status, report, printed = audit(train=first, val=dict(first, split='val'), test=dict(second, split='test'))
    assert status == 1
    assert [tuple(split.values()) for split in report['splits']] == [
        (f'{first["data_root"]} (unc)', 'train', 4), (f'{first["data_root"]} (unc)', 'val', 1),
        (f'{first["data_root"]} (unc)', 'testA', 2), (f'{second["data_root"]} (unc)', 'train', 5),
        (f'{second["data_root"]} (unc)', 'val', 2), (f'{second["data_root"]} (unc)', 'test', 1)]
    assert report['overlap'] == [
        [4, 0, 0, 1, 2, 0],
        [0, 1, 0, 1, 0, 0],
        [0, 0, 2, 2, 0, 0],
        [1, 1, 2, 5, 0, 0],
        [2, 0, 0, 0, 2, 0],
        [0, 0, 0, 0, 0, 1]]
    assert report['configs'] == {'model.py': {'trained_images': 4, 'leaks': [
        {'set': f'{second["data_root"]} (unc)', 'split': 'val', 'images': 2}], 'copies': []}}
    row, = (line.split() for line in printed.splitlines() if line.split()[:1] == ['4'])
    assert row[3:] == ['train', '1', '1!', '2!', '5', '·', '·']
    assert f'LEAK  model.py trains on 4 images, among them 2 of {second["data_root"]} (unc) val' in printed


def test_a_mixture_leaves_out_what_would_leak(audit, sets):
    first, second = sets
    mixture = dict(type='ReferringMixture', datasets=[first, second])
    status, report, printed = audit(train=mixture, val=dict(first, split='val'), test=dict(second, split='test'))
    assert not status
    assert report['configs'] == {'model.py': {'trained_images': 3, 'leaks': [], 'copies': []}}  # 1, 4 and 8
    assert 'clean model.py trains on 3 images' in printed
    leaking = dict(mixture, held_out=[first], allow_leakage=True)
    status, report, _ = audit(train=leaking, test=dict(second, split='test'))
    assert status == 1
    assert report['configs']['model.py']['leaks'][0]['images'] == 2


def test_what_a_config_does_not_test_on_is_no_leak(audit, sets):
    first, second = sets
    status, report, _ = audit(train=dict(first, split='testA'), test=dict(second, split='test'))
    assert (status, report['configs']['model.py']['leaks']) == (False, [])
    assert audit(train=dict(first, split='testA'), test=dict(first, split='val'))[0] == 1


def test_several_configs_and_data_sets_within_others(audit, sets, tmp_path):
    first, second = sets
    (tmp_path / 'other.py').write_text(
        f'train_dataloader = dict(dataset=dict(type="ConcatDataset", datasets=[{second!r}]))\n'
        f'test_dataloader = dict(dataset=dict(type="mmrefseg.ShuffledExpressions", dataset={first!r}))\n')
    status, report, _ = audit('model.py', 'other.py', train=first, val=first)
    assert status == 1
    assert len(report['splits']) == 6
    assert {name: [leak['images'] for leak in config['leaks']] for name, config in report['configs'].items()} == {
        'model.py': [], 'other.py': [1, 2]}


def test_pictures_under_other_names(audit, tmp_path):
    """Image 1 lies there again as 11, 2 smaller and compressed as 12; 3 is one image in both sets by its id."""
    first, second = (write_refs_on_images(tmp_path / name, splits) for name, splits in (
        ('first', {'train': [1, 2, 3]}), ('second', {'train': [20], 'val': [3, 11, 12, 13]})))
    generator = np.random.default_rng(0)
    for number in (*range(1, 4), 13):
        picture = cv2.resize(generator.integers(0, 255, (9, 8, 3), np.uint8), (96, 80), interpolation=cv2.INTER_CUBIC)
        folder = second if number == 13 else first
        cv2.imwrite(f'{folder["data_root"]}/images/{number}.jpg', picture)
    for number, copy in ((3, 3), (1, 11)):
        shutil.copy(tmp_path / f'first/images/{number}.jpg', tmp_path / f'second/images/{copy}.jpg')
    small = cv2.resize(cv2.imread(str(tmp_path / 'first/images/2.jpg')), (48, 40), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / 'second/images/12.jpg'), small, [cv2.IMWRITE_JPEG_QUALITY, 60])
    second['image_source'] = 'other'  # as pictures of one's own have no ids of COCO
    status, report, printed = audit(train=first, test=dict(second, split='val'))
    assert (status, report['configs']['model.py']['leaks'], report['configs']['model.py']['copies']) == (False, [], [])
    status, report, printed = audit('model.py', '--pictures', '--workers', '1', train=first,
                                    test=dict(second, split='val'))
    found = [(Path(copy['trained']).stem, Path(copy['tested']).stem, copy['same_file'])
             for copy in report['configs']['model.py']['copies']]
    assert (status, found) == (1, [('1', '11', True), ('3', '3', True), ('2', '12', False)])
    assert f'LEAK  model.py trains on 3 images, among them 3 that {second["data_root"]} (unc) val' in printed
    assert '2.jpg and ' in printed and '(nearly the same)' in printed
    second['image_source'] = 'coco'
    report = audit('model.py', '--pictures', train=first, test=dict(second, split='val'))[1]
    assert len(report['configs']['model.py']['copies']) == 2, '3 is known by its id'


@pytest.mark.parametrize(('configs', 'message'), [
    (['no-such-config'], "no config 'no-such-config'"),
    (['_base_/default_runtime.py'], 'names no data set of mmrefseg'),
    (['lost.py'], r'nowhere is missing\. Expected'),
])
def test_mistakes_get_a_message(audit, tmp_path, configs, message):
    (tmp_path / 'lost.py').write_text('val_dataloader = dict(dataset=dict(type="RefCOCODataset", '
                                      'data_root="nowhere"))\n')
    status, report, printed = audit(*configs)
    assert status.startswith('audit_leakage: ')
    assert re.search(message, status)
    assert not report and not printed
