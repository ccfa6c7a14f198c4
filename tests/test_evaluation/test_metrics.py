import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from pycocotools import mask as coco_mask

from mmrefseg.evaluation import DumpPredictions, ReferringIoUMetric, intersection_and_union, summarise_iou
from mmrefseg.registry import METRICS
from mmrefseg.structures import RefSegDataSample


def make_sample(index, shape=(6, 5)):
    rng = np.random.default_rng(index)
    sample = RefSegDataSample(
        metainfo=dict(image_id=100 + index, ref_id=10 + index, sent_id=index, text=f'thing {index} "quoted" é'))
    sample.gt_sem_seg = PixelData(data=torch.from_numpy((rng.random((1, *shape)) > 0.5).astype(np.uint8)))
    sample.pred_sem_seg = PixelData(data=torch.from_numpy((rng.random((1, *shape)) > 0.3).astype(np.uint8)))
    return sample


def evaluate(metrics, indices, size, batch_size=2):
    evaluator = Evaluator(metrics)
    for start in range(0, len(indices), batch_size):
        evaluator.process([make_sample(index) for index in indices[start:start + batch_size]], None)
    return evaluator.evaluate(size)


def expected_figures(size):
    counts = [intersection_and_union(sample.pred_sem_seg.data, sample.gt_sem_seg.data)
              for sample in map(make_sample, range(size))]
    return summarise_iou(*zip(*counts, strict=True))


def test_metric():
    metric = METRICS.build(dict(type='mmrefseg.ReferringIoUMetric'))
    assert evaluate(metric, range(5), 5) == expected_figures(5)
    assert evaluate(ReferringIoUMetric(thresholds=(75, ), prefix='val'), range(5), 5).keys() == {
        'val/mIoU', 'val/oIoU', 'val/Pr@75'}


def test_metric_without_samples():
    with pytest.raises(ValueError, match='no expressions'):
        ReferringIoUMetric().evaluate(0)


def test_metric_refuses_another_size():
    sample = make_sample(0).to_dict()
    sample['pred_sem_seg'] = make_sample(1, shape=(5, 6)).pred_sem_seg.to_dict()
    with pytest.raises(ValueError, match='original image'):
        ReferringIoUMetric().process(None, [sample])


def check_dump(path, size):
    rows = json.loads(Path(path).read_text())
    assert [row['sent_id'] for row in rows] == list(range(size))
    for row, sample in zip(rows, map(make_sample, range(size)), strict=True):
        assert (row['image_id'], row['ref_id'], row['text']) == (sample.image_id, sample.ref_id, sample.text)
        assert (coco_mask.decode(row['segmentation']) == sample.pred_sem_seg.data[0].numpy()).all()
        counts = intersection_and_union(sample.pred_sem_seg.data, sample.gt_sem_seg.data)
        assert (row['intersection'], row['union']) == counts


def test_dump(tmp_path):
    path = tmp_path / 'new' / 'predictions.json'
    assert evaluate(DumpPredictions(str(path)), range(3), 3) == {}
    check_dump(path, 3)
    assert list(path.parent.iterdir()) == [path]


def test_dump_in_the_order_of_the_data_set(tmp_path):
    """Whatever the order in which samples are tested, which depends on images and on the number of processes."""
    path, samples = tmp_path / 'predictions.json', [make_sample(index) for index in (2, 0, 3, 1)]
    for sample in samples:
        sample.set_metainfo(dict(sample_idx=sample.sent_id))
    evaluator = Evaluator(DumpPredictions(str(path)))
    evaluator.process(samples, None)
    evaluator.evaluate(4)
    check_dump(path, 4)


def test_dump_says_at_once_that_it_cannot_write(tmp_path):
    (tmp_path / 'taken').write_text('a file where a folder is needed')
    with pytest.raises(OSError, match='cannot write .*taken'):
        DumpPredictions(str(tmp_path / 'taken' / 'predictions.json'))
