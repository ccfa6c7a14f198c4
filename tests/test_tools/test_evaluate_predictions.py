"""Predictions of a tiny model, and of a script that knows nothing of mmrefseg, from the command line."""
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmrefseg.apis import RefSegInferencer
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.utils.shipped_files import config_path

TOOLS = Path(__file__).parents[2] / 'tools'
PROTOCOLS = ('cris', 'lavt', 'lisa')

FOREIGN = '''
import json, pickle, sys
import numpy as np
from pycocotools import mask
# Squares around the middle of each image, as JSON Lines without a number of ours but the image and the words.
instances = {image['id']: image for image in json.load(open('data/instances.json'))['images']}
for ref in pickle.load(open('data/refs(unc).p', 'rb')):
    if ref['split'] == 'val':
        for sentence in ref['sentences']:
            image = instances[ref['image_id']]
            answer = np.zeros((image['height'], image['width']), np.uint8)
            answer[10:50 + sentence['sent_id'] % 9, 8:40] = 1
            code = mask.encode(np.asfortranarray(answer))
            code['counts'] = code['counts'].decode()
            print(json.dumps(dict(file_name=image['file_name'], ref_id=str(ref['ref_id']),
                                  expression=sentence['sent'].upper() + '.', segmentation=code)))
assert not any(name.startswith('mm') for name in sys.modules)
'''


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Data, and a tiny model's predictions and figures under all protocols."""
    folder = tmp_path_factory.mktemp('evaluate')
    make_refshapes(folder / 'data', {'val': 3, 'testA': 2}, image_size=(96, 64), seed=1)
    (folder / 'data.py').write_text(f'_base_ = {config_path("_base_/datasets/refshapes")!r}\n'
                                    "test_dataloader = dict(dataset=dict(data_root='data'))\n")
    (folder / 'model.py').write_text(f'_base_ = {config_path("sera_tiny_refshapes")!r}\n'
                                     "test_dataloader = dict(num_workers=0, dataset=dict(data_root='data'))\n")
    torch.manual_seed(0)
    model = RefSegInferencer(folder / 'model.py', None, 'cpu').model
    model.decode_head.kernel.weight.data *= 30  # masks that are neither empty nor full
    torch.save(model.state_dict(), folder / 'weights.pth')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, 'argv', [
            'test.py', 'model.py', 'weights.pth', '--work-dir', 'work', '--splits', 'val', 'testA', '--shuffled-splits',
            'val', '--absent-splits', 'val', '--protocol', *PROTOCOLS, '--out', 'predictions.json', '--out-protocols',
            '--out-probabilities', '--out-routing', '--show-dir', 'shown', '--show-number', '2'])
        runpy.run_path(str(TOOLS / 'test.py'), run_name='__main__')
    return folder


@pytest.fixture
def command(monkeypatch, folder, tmp_path):
    """Run the command on the data; returns what it wrote."""

    def call(*arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['evaluate_predictions.py', *map(str, arguments), '--on', 'data.py', '--out',
                                          str(tmp_path / 'out.json')])
        runpy.run_path(str(TOOLS / 'analysis_tools/evaluate_predictions.py'), run_name='__main__')
        return json.loads((tmp_path / 'out.json').read_text())

    return call


def test_the_figures_of_the_test_to_the_last_digit(command, folder, capsys):
    report, metrics = command('predictions.json', '--protocol', *PROTOCOLS), json.loads(
        (folder / 'work/metrics.json').read_text())
    assert report['protocols'] == metrics.pop('protocols') and list(report['protocols']) == list(PROTOCOLS)
    assert list(report['splits']) == list(metrics) == ['val', 'testA', 'val_shuffled', 'val_absent']
    assert report['splits']['val_absent']['without_target'] > 0
    for split, figures in metrics.items():
        found = {name if protocol == 'cris' else f'{protocol}/{name}': estimate['mean']
                 for protocol, rows in report['splits'][split]['figures'].items() for name, estimate in rows.items()}
        assert found == figures
        assert 0 < figures['mIoU'] != figures['lavt/mIoU']
        assert report['splits'][split]['missing'] == [[]] and report['splits'][split]['other_texts'] == [[]]
    shown = capsys.readouterr().out
    assert 'val_shuffled' in shown and 'Protocol lavt: resolution 480x480' in shown


def test_what_the_file_holds(folder):
    content = json.loads((folder / 'predictions.json').read_text())
    row = content['testA'][0]
    assert row['split'] == 'testA' and (folder / 'data/images' / row['file_name']).is_file()
    assert row['protocol'] == 'cris' and row['segmentation']['size'] == [64, 96]
    assert list(row['masks']) == ['lavt', 'lisa'] and row['masks']['lavt']['segmentation']['size'] == [480, 480]
    assert row['kind'] and row['text'] and row['probability'].startswith('iVBOR')
    routers = row['routing']
    assert {'fusion.0', 'fusion.1', 'fusion.2'} <= routers.keys()
    assert list(routers['fusion.0']) == ['spatial', 'contextual', 'boundary', 'shape']
    assert all(sum(weights.values()) == pytest.approx(1, abs=1e-3) for weights in routers.values())


def test_pictures_of_each_split(folder):
    """The first sample and the last; four panels, of 360 pixels for images of 96×64."""
    numbers = {split: len(rows) for split, rows in json.loads((folder / 'predictions.json').read_text()).items()
               if split != 'protocols'}
    expected = {f'{split}/{index:06d}.png' for split, number in numbers.items() for index in (0, number - 1)}
    assert {str(path.relative_to(folder / 'shown')) for path in (folder / 'shown').rglob('*.png')} == expected
    for path in expected:
        with Image.open(folder / 'shown' / path) as picture:
            assert picture.size[0] == 12 + 4 * (360 + 12) and picture.size[1] >= 66 + 240 + 26


def test_the_files_protocol_is_the_default(command, folder):
    content = json.loads((folder / 'predictions.json').read_text())
    rows = [{**row, 'protocol': 'lavt', **row['masks']['lavt']} for row in content['val']]
    for row in rows:
        del row['masks']
    (folder / 'lavt.json').write_text(json.dumps({'protocols': {'lavt': content['protocols']['lavt']}, 'val': rows}))
    report = command('lavt.json')
    assert list(report['protocols']) == ['lavt'] and list(report['splits']) == ['val']
    metrics = json.loads((folder / 'work/metrics.json').read_text())
    assert report['splits']['val']['figures']['lavt']['mIoU']['mean'] == metrics['val']['lavt/mIoU']
    with pytest.raises(SystemExit, match='made under the protocol lavt, and has no mask for cris'):
        command('lavt.json', '--protocol', 'cris')
    content['protocols']['lavt']['resolution'] = [400, 400]
    (folder / 'other.json').write_text(json.dumps(content))
    with pytest.raises(SystemExit, match='was made under other rules by the name lavt'):
        command('other.json', '--protocol', 'lavt')


def test_a_config_of_more_protocols_than_the_file_has_masks_for(folder, monkeypatch, capsys):
    content = json.loads((folder / 'predictions.json').read_text())
    rows = [{key: value for key, value in row.items() if key != 'masks'} for row in content['val']]
    (folder / 'first.json').write_text(json.dumps({'protocols': {'cris': content['protocols']['cris']}, 'val': rows}))
    (folder / 'several.py').write_text("_base_ = 'data.py'\n"
                                       "test_evaluator = dict(type='ReferringIoUMetric', protocol=['cris', 'lavt'])\n")
    monkeypatch.chdir(folder)
    for file, protocols in (('first.json', ['cris']), ('predictions.json', ['cris', 'lavt'])):
        monkeypatch.setattr(sys, 'argv', ['evaluate_predictions.py', file, '--on', 'several.py', '--split', 'val'])
        runpy.run_path(str(TOOLS / 'analysis_tools/evaluate_predictions.py'), run_name='__main__')
        shown = capsys.readouterr().out
        assert [name for name in PROTOCOLS if f'Protocol {name}:' in shown] == protocols


def test_a_program_that_imports_nothing_of_ours(command, folder, tmp_path):
    """Its answers score as those of the same masks in our own file."""
    script = [sys.executable, '-c', FOREIGN]
    lines = subprocess.run(script, cwd=folder, check=True, capture_output=True, text=True).stdout
    (folder / 'foreign.jsonl').write_text(lines)
    report = command('foreign.jsonl', '--split', 'val')
    assert report['splits']['val']['missing'] == [[]] and report['unmatched'] == {'foreign.jsonl': []}
    content = json.loads((folder / 'predictions.json').read_text())
    answers = {(row['ref_id'], row['expression']): row['segmentation'] for row in map(json.loads, lines.splitlines())}
    rows = [{**row, 'segmentation': answers[str(row['ref_id']), row['text'].upper() + '.']} for row in content['val']]
    (folder / 'ours.json').write_text(json.dumps({'val': rows}))
    again = command('ours.json', '--protocol', 'cris')
    assert again['splits']['val']['figures'] == report['splits']['val']['figures']
    assert report['splits']['val']['figures']['cris']['mIoU']['mean'] > 1


def test_missing_answers_count_0(command, folder, capsys):
    content = json.loads((folder / 'predictions.json').read_text())
    kept, left_out = content['val'][::2], content['val'][1::2]
    (folder / 'half.json').write_text(json.dumps(kept))
    report = command('half.json')['splits']['val']
    assert [row['sent_id'] for row in report['missing'][0]] == [row['sent_id'] for row in left_out]
    ious = [row['intersection'] / row['union'] for row in kept] + [0] * len(left_out)
    assert report['figures']['cris']['mIoU']['mean'] == pytest.approx(100 * sum(ious) / len(ious))
    assert f'{len(left_out)} expressions have no prediction in half.json and count 0' in capsys.readouterr().out


def test_against_another_model(command, folder):
    content = json.loads((folder / 'predictions.json').read_text())
    for row in content['val']:
        row['segmentation'] = None
    (folder / 'empty.json').write_text(json.dumps({'val': content['val']}))
    arguments = ('--split', 'val', '--protocol', 'cris')
    report = command('predictions.json', *arguments, '--against', 'empty.json', '--by', 'kind')
    split = report['splits']['val']
    for name, difference in split['differences']['cris'].items():
        value = split['figures']['cris'][name]
        assert (difference['mean'], difference['low'], difference['high']) == pytest.approx(
            (value['mean'], value['low'], value['high']))
    assert split['differences']['cris']['mIoU']['needed'] > 0
    assert any(name.startswith('kind=') for name in split['figures']['cris'])
    seeds = command('predictions.json', 'empty.json', *arguments)['splits']['val']['figures']['cris']['mIoU']
    assert seeds['by_seed'] == [split['figures']['cris']['mIoU']['mean'], 0]


def test_other_masks_of_truth(command, folder, capsys):
    """Predictions as the truth of half of the expressions, and nothing as that of one more."""
    content = json.loads((folder / 'predictions.json').read_text())
    chosen = content['val'][:7]
    lines = [{'sent_id': row['sent_id'], 'segmentation': row['segmentation']} for row in chosen]
    lines[-1]['segmentation'] = None
    (folder / 'truth.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    arguments = ('predictions.json', '--split', 'val', 'testA', '--protocol', 'cris')
    report = command(*arguments, '--reannotated', 'truth.jsonl')
    assert list(report['splits']) == ['val', 'val (published)', 'val (re-annotated)', 'testA']
    assert report['splits']['val'] == command(*arguments)['splits']['val']
    published, others = (report['splits'][f'val ({name})'] for name in ('published', 're-annotated'))
    ious = [row['intersection'] / row['union'] for row in chosen]
    assert published['expressions'] == others['expressions'] == 7
    assert published['figures']['cris']['mIoU']['mean'] == pytest.approx(100 * sum(ious) / 7)
    assert others['figures']['cris']['mIoU']['mean'] == pytest.approx(600 / 7), 'right but where nothing is meant'
    assert others['without_target'] == 1 and not published['differences']
    assert others['differences']['cris']['mIoU']['mean'] == pytest.approx(100 * (6 - sum(ious)) / 7)
    assert report['reannotated']['val'] == {
        'expressions': 7, 'agreement': pytest.approx(100 * sum(ious[:-1]) / 7)}
    shown = capsys.readouterr().out
    assert 'val (re-annotated)' in shown and 'val: 7 expressions are re-annotated; the published masks' in shown


def test_masks_of_truth_are_on_the_image(command, folder):
    row = json.loads((folder / 'predictions.json').read_text())['val'][0]
    (folder / 'truth.json').write_text(json.dumps([row]))
    with pytest.raises(SystemExit, match='under the protocol cris, lavt, lisa; a mask of truth is on the image'):
        command('predictions.json', '--split', 'val', '--reannotated', 'truth.json')
    small = {'size': [9, 9], 'counts': [81]}
    (folder / 'truth.json').write_text(json.dumps([{'sent_id': row['sent_id'], 'segmentation': small}]))
    with pytest.raises(SystemExit, match=r'\[9, 9\]'):
        command('predictions.json', '--split', 'val', '--reannotated', 'truth.json')


@pytest.mark.parametrize(('content', 'arguments', 'message'), [
    ('[{"sent_id": 99999, "segmentation": null}]', (), '1 of 1 predictions belong to no expression that is evaluated'),
    ('[]', (), 'holds no predictions for val'),
    ('{"testA": [{"sent_id": 0, "segmentation": null}]}', ('--split', 'val'), 'no predictions for val; it has testA'),
    ('{"testC": []}', (), "has no split 'testC'"),
    ('[{"sent_id": 0, "segmentation": {"size": [9, 9], "counts": [81]}}]', (), r'\[9, 9\]'),
    ('[]', ('--against', 'mine.json', 'mine.json'), '1 files of predictions and 2 in --against'),
])
def test_mistakes_get_a_message(command, folder, content, arguments, message):
    (folder / 'mine.json').write_text(content)
    with pytest.raises(SystemExit, match=f'^evaluate_predictions: (.|\n)*{message}'):
        command('mine.json', *arguments)


def test_a_share_of_strangers_may_be_allowed(command, folder):
    sent_id = json.loads((folder / 'predictions.json').read_text())['val'][0]['sent_id']
    rows = [{'sent_id': number, 'segmentation': None} for number in (sent_id, 99999)]
    (folder / 'mine.json').write_text(json.dumps(rows))
    report = command('mine.json', '--max-unmatched', '50')
    assert report['unmatched']['mine.json'] == ["mine.json[1]: there is no sent_id '99999'"]


def test_a_split_that_is_named_twice(command, folder, tmp_path):
    lines = [{'sent_id': number, 'segmentation': None} for number in range(9_000, 9_020)]
    (tmp_path / 'strangers.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    with pytest.raises(SystemExit, match='20 of 20 predictions belong to no expression'):
        command(tmp_path / 'strangers.jsonl', '--split', 'val', 'val')


@pytest.mark.parametrize('share', ['nan', '-1', '101', 'x'])
def test_a_share_that_is_none(command, share):
    with pytest.raises(SystemExit) as error:
        command('predictions.json', '--max-unmatched', share)
    assert error.value.code == 2


def test_the_predictions_are_not_replaced_by_their_report(monkeypatch, folder):
    monkeypatch.chdir(folder)
    before = (folder / 'predictions.json').read_bytes()
    monkeypatch.setattr(sys, 'argv', ['evaluate_predictions.py', 'predictions.json', '--on', 'data.py', '--out',
                                      str(folder / 'predictions.json')])
    with pytest.raises(SystemExit, match='would be lost'):
        runpy.run_path(str(TOOLS / 'analysis_tools/evaluate_predictions.py'), run_name='__main__')
    assert (folder / 'predictions.json').read_bytes() == before
