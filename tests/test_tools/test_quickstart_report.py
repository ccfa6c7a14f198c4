"""The report on a training, from files as tools/train.py and tools/test.py leave them."""
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.load_script import load_script
from mmengine.config import Config
from mmengine.visualization import LocalVisBackend
from pycocotools import mask as coco_mask

from mmrefseg.datasets import LoadReferringImage, LoadReferringMask, RefCOCODataset
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.evaluation.functional import summarise_iou
from mmrefseg.utils.collect_env import versions
from mmrefseg.utils.shipped_files import config_path

SPLITS = ('val', 'testA', 'testB')


@pytest.fixture(scope='module')
def tool():
    return load_script('tools/analysis_tools/quickstart_report.py')


@pytest.fixture(scope='module')
def data_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('refshapes')
    make_refshapes(root, dict.fromkeys(SPLITS, 8))
    return root


def predict(data_root: Path, split: str) -> list[dict]:
    """The ground truth as prediction, but every third one is empty."""
    dataset = RefCOCODataset(str(data_root), split=split)
    answers = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        mask = LoadReferringMask().transform(LoadReferringImage().transform(dict(info)))['gt_seg_map']
        area = int(mask.sum())
        code = coco_mask.encode(np.asfortranarray(mask * bool(i % 3)))
        answers.append({
            **{key: info[key] for key in ('image_id', 'ref_id', 'sent_id', 'text')},
            'segmentation': {'size': code['size'], 'counts': code['counts'].decode()},
            'intersection': area * bool(i % 3),
            'union': area,
        })
    return answers


@pytest.fixture
def work_dir(tmp_path, data_root) -> Path:
    """What a training of 170 iterations, of which every 50th is logged, and its tests leave."""
    work_dir = tmp_path / 'quickstart'
    backend = LocalVisBackend(str(work_dir / '20260101_000000/vis_data'))
    for step, time in ((50, 9.0), (100, 0.2), (150, 0.4)):
        backend.add_scalars({'routing/fusion.0/shape/weight': 0.3}, step=step)
        backend.add_scalars({'loss': 1.0, 'decode.loss_ce': 1.0, 'lr': 1e-3, 'time': time}, step=step)
    config = Config.fromfile(config_path('sera_tiny_refshapes'))
    config.test_dataloader.dataset.data_root = str(data_root)
    config.randomness = {'seed': 3}
    config.train_cfg.max_iters = 170
    config.dump(str(work_dir / '20260101_000000/vis_data/config.py'))
    predictions = {split: predict(data_root, split) for split in SPLITS}
    predictions['val_shuffled'] = predictions['val']
    metrics = {split: summarise_iou([answer['intersection'] for answer in answers],
                                    [answer['union'] for answer in answers])
               for split, answers in predictions.items()}
    metrics['val_shuffled']['mIoU'] = 10.0
    (work_dir / 'metrics.json').write_text(json.dumps(metrics))
    (work_dir / 'predictions.json').write_text(json.dumps(predictions))
    return work_dir


@pytest.fixture
def command(tool, monkeypatch):

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['quickstart_report.py', *map(str, arguments)])
        tool.main()

    return call


def test_writes_four_files(command, work_dir, capsys):
    command(work_dir, '--durations', 'data=21', 'training=90')
    report = json.loads((work_dir / 'report.json').read_text())
    metrics = json.loads((work_dir / 'metrics.json').read_text())
    assert {split: report[split] for split in metrics} == metrics
    assert set(report['val']) == {'mIoU', 'oIoU', 'Pr@50', 'Pr@60', 'Pr@70', 'Pr@80', 'Pr@90'}
    assert report['iterations'] == 170 and report['seed'] == 3
    assert report['seconds_per_step'] == pytest.approx(0.3)  # the median without the slow start
    assert report['durations'] == {'data': 21.0, 'training': 90.0}
    assert report['machine']['cores'] >= 1 and report['machine']['cpu']
    assert report['versions'] == versions()
    for name in ('curves.png', 'samples.png'):
        assert cv2.imread(str(work_dir / name)).std() > 10
    text = (work_dir / 'report.md').read_text()
    answers = json.loads((work_dir / 'predictions.json').read_text())['val']
    assert f'| val | {len(answers)} | {metrics["val"]["mIoU"]:.1f} |' in text
    assert 'it reads its expressions' in text and 'minutes for training | 1.5' in text
    assert report['probe'] == {} and 'mmrefseg probe' not in text
    assert '![' in text and '](samples.png)' in text and '](curves.png)' in text
    assert f'are in {work_dir}' in capsys.readouterr().out


def test_what_is_not_there(tool, work_dir):
    (work_dir / 'probe.json').write_text(json.dumps({'splits': {'val': {
        'verdicts': ['fires on anything: it answers 99 % of expressions that name nothing there'],
        'asked': {'as it is': {}, 'absent': {}}}}}))
    probed = tool.read_probe(work_dir)
    assert tool.probe_lines(probed).startswith('`mmrefseg probe` on val: fires on anything: it answers 99 %')
    assert tool.probe_lines({}) == ''


@pytest.mark.parametrize('other, warned', [(26.0, True), (20.0, False)])
def test_a_model_that_does_not_listen_is_warned_of(tool, other, warned):
    figures = {key: {'mIoU': {'mean': value}} for key, value in (('own', 50.0), ('figures', other))}
    said = tool.probe_lines({'val': {'verdicts': ['so it is'], 'asked': {'permuted': figures}}})
    assert ('words hardly matter' in said and 'it keeps 52 % of its mIoU' in said) == warned
    assert said.endswith('`mmrefseg probe` on val: so it is.\n')


def test_predictions_elsewhere(command, work_dir, tmp_path):
    elsewhere = (work_dir / 'predictions.json').rename(tmp_path / 'elsewhere.json')
    command(work_dir, '--predictions', elsewhere)
    assert (work_dir / 'samples.png').is_file()


def test_samples_cover_kinds_and_splits(tool, work_dir):
    predictions = json.loads((work_dir / 'predictions.json').read_text())
    config = Config.fromfile(next(work_dir.glob('*/vis_data/config.py')))
    samples = tool.pick_samples(predictions, config)
    kinds = ('attribute', 'location', 'relation', 'superlative')
    assert [sample.origin for sample in samples] == [f'{split}, {kind}' for kind in kinds for split in SPLITS]
    for sample in samples:
        is_right = (sample.prediction == sample.ground_truth).all()
        assert sample.iou == is_right and sample.expression
        assert is_right or not sample.prediction.any()
    again = tool.pick_samples(predictions, config)
    assert [sample.expression for sample in again] == [sample.expression for sample in samples]


def test_samples_are_not_picked_by_success(tool, work_dir):
    """Whatever was predicted, the same expressions are drawn."""
    predictions = json.loads((work_dir / 'predictions.json').read_text())
    config = Config.fromfile(next(work_dir.glob('*/vis_data/config.py')))
    before = [sample.expression for sample in tool.pick_samples(predictions, config)]
    for answers in predictions.values():
        for answer in answers:
            answer['intersection'] = 0
    assert [sample.expression for sample in tool.pick_samples(predictions, config)] == before


def test_control_that_fails(tool):
    assert tool.control_line({'testA': {'mIoU': 50.0}}) == ''
    assert 'hardly reads' in tool.control_line({'val': {'mIoU': 50.0}, 'val_shuffled': {'mIoU': 25.0}})
    assert ': it reads' in tool.control_line({'val': {'mIoU': 50.0}, 'val_shuffled': {'mIoU': 24.9}})


def spoil(work_dir: Path, name: str, content: str | None) -> None:
    if content is None:
        (work_dir / name).unlink()
    else:
        (work_dir / name).write_text(content)


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('metrics.json', None, r'metrics\.json is missing; tools/test\.py writes it'),
    ('metrics.json', '{"val": {', r'metrics\.json is not a whole JSON file'),
    ('metrics.json', '[]', 'key for each split'),
    ('predictions.json', None, r'predictions\.json is missing; tools/test\.py --out'),
    ('predictions.json', '{"val": [{"sent_id": -5}]}', 'sent_id -5'),
    ('20260101_000000/vis_data/scalars.json', None, r'scalars\.json with a loss'),
])
def test_mistakes_get_a_message(command, work_dir, name, content, message):
    spoil(work_dir, name, content)
    with pytest.raises(SystemExit, match=f'^quickstart_report: .*{message}'):
        command(work_dir)
    assert not (work_dir / 'report.json').exists()


def test_figures_that_one_split_lacks_leave_a_gap(tool):
    report = {'machine': {'gpu': '', 'cpu': 'x', 'cores': 2}, 'iterations': 1, 'seconds_per_step': 1.0, 'seed': 0,
              'durations': {}, 'versions': {}, 'probe': {},
              'before': {'own': {}, 'old': {}}}
    text = tool.to_markdown(report, {'val': {'mIoU': 50.0}, 'val_absent': {'mIoU': 20.0, 'N-acc': 60.0}},
                            {'val': 7}, 'run')
    assert '| val | 7 | 50.0 |  |' in text and '| val_absent |  | 20.0 | 60.0 |' in text


def compared(before, after, low, high):
    return {'expressions': 7, 'images': 2, 'figures': {'mIoU': {'mean': after}, 'Pr@50': {'mean': 61.0}},
            'against': {'mIoU': {'mean': before}, 'Pr@50': {'mean': 40.0}},
            'differences': {'mIoU': {'mean': after - before, 'low': low, 'high': high}}}


@pytest.mark.parametrize(('figures', 'row', 'said'), [
    ((30.0, 42.04, 8.0, 16.0), '30.0 | 42.0 | +12.0 | +8.0 to +16.0', 'On val mIoU rose from 30.0 to 42.0.'),
    ((30.0, 32.0, -1.0, 5.0), '30.0 | 32.0 | +2.0 | -1.0 to +5.0', 'On val nothing can be said: mIoU went from 30.0'),
    ((30.0, 20.0, -15.0, -5.0), '30.0 | 20.0 | -10.0 | -15.0 to -5.0', 'got worse: mIoU fell from 30.0 to 20.0'),
    ((30.0, 42.0, None, None), '30.0 | 42.0 | +12.0 |  | 40.0 | 61.0', 'nothing can be said'),
])
def test_what_training_changed_is_told(tool, figures, row, said):
    text = tool.comparison_lines({'val': compared(*figures)}, {})
    assert f'| val | 7 | {row}' in text and said in text and 'old data' not in text


@pytest.mark.parametrize(('after', 'said'), [(45.0, '90 %: it kept what it knew'), (44.0, '88 %: it forgot: raise')])
def test_what_was_kept_is_told(tool, after, said):
    text = tool.comparison_lines({}, {'val': compared(50.0, after, -9.0, 1.0)})
    assert f'On val of the old data mIoU was 50.0 and is {after}, {said}' in text
    assert tool.comparison_lines({}, {}) == ''


def test_comparisons_are_read_where_they_are(tool, work_dir):
    for folder, after in ((work_dir, 60.0), (work_dir / 'old_data', 30.0)):
        folder.mkdir(exist_ok=True)
        found = {'against': ['c', 'w'], 'splits': {'val': compared(50.0, after, None, None)}}
        (folder / 'against.json').write_text(json.dumps(found))
    tool.write_report(work_dir, work_dir / 'predictions.json', {})
    text = (work_dir / 'report.md').read_text()
    assert '## Before and after' in text and '| val | 7 | 50.0 | 60.0 |' in text
    assert '| val of the old data | 7 | 50.0 | 30.0 |' in text
