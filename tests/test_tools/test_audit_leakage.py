"""Which images splits share, on made-up refs about COCO's image ids."""
import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from helpers.refcoco_files import write_refs_on_images

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/audit_leakage.py'


@pytest.fixture
def sets(tmp_path) -> tuple[dict, dict]:
    return (write_refs_on_images(tmp_path / 'first', {'train': [1, 2, 3, 4], 'val': [5], 'testA': [6, 7]}),
            write_refs_on_images(tmp_path / 'second', {'train': [1, 5, 6, 7, 8], 'val': [2, 3], 'test': [9]}))


@pytest.fixture
def audit(tmp_path, monkeypatch, capsys):

    def call(*configs: str, **loaders: dict) -> tuple[int | str, dict, str]:
        """Write a config with the data sets of loaders, run the tool; exit status, report and what was printed."""
        (tmp_path / 'model.py').write_text(''.join(f'{name}_dataloader = dict(dataset={dataset!r})\n'
                                                   for name, dataset in loaders.items()))
        out = tmp_path / 'new/out.json'
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', ['audit_leakage.py', *(configs or ['model.py']), '--out', str(out)])
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
        {'set': f'{second["data_root"]} (unc)', 'split': 'val', 'images': 2}]}}
    row, = (line.split() for line in printed.splitlines() if line.split()[:1] == ['4'])
    assert row[3:] == ['train', '1', '1!', '2!', '5', '·', '·']
    assert f'LEAK  model.py trains on 4 images, among them 2 of {second["data_root"]} (unc) val' in printed


def test_a_mixture_leaves_out_what_would_leak(audit, sets):
    first, second = sets
    mixture = dict(type='ReferringMixture', datasets=[first, second])
    status, report, printed = audit(train=mixture, val=dict(first, split='val'), test=dict(second, split='test'))
    assert not status
    assert report['configs'] == {'model.py': {'trained_images': 3, 'leaks': []}}  # 1, 4 and 8
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
