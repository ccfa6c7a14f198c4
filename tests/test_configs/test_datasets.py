"""Configs of data sets, built on tiny files of theirs."""
import pytest
from helpers.configs import load
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco
from helpers.instance_files import tiny_coco, write_coco, write_voc
from helpers.refclef_files import tiny_refclef, write_refclef
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from mmengine.evaluator import Evaluator

from mmrefseg.datasets import (
    CocoPromptDataset,
    GRefCOCODataset,
    RefCLEFDataset,
    RefCOCODataset,
    VOCPromptDataset,
)
from mmrefseg.evaluation import GRESMetric, ReferringIoUMetric, summarise_gres
from mmrefseg.registry import DATASETS


def _with_splits(content):
    for ref, split in zip(content['refs'], ('train', 'val', 'test', 'test'), strict=True):
        ref['split'] = split
    return content


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data sets, where the configs look for them from the current folder."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / 'data'
    write_refcoco(data / 'refcoco', _with_splits(tiny_refcoco()), 'google')
    write_grefcoco(data / 'grefcoco', tiny_grefcoco())
    write_refcoco(data / 'refclef', _with_splits(tiny_refclef()), 'berkeley')
    write_refclef(data / 'refclef')
    write_coco(data / 'coco', tiny_coco())
    write_voc(data / 'VOCdevkit' / 'VOC2012')
    (data / 'coco' / 'train2014').symlink_to(data / 'refcoco' / 'images')
    (data / 'saiapr_tc-12').symlink_to(data / 'refclef' / 'images')


@pytest.mark.parametrize('name, dataset_type, metric_type, sizes', [
    ('refcoco-google', RefCOCODataset, ReferringIoUMetric, {'train': 1, 'val': 1, 'test': 2}),
    ('grefcoco', GRefCOCODataset, GRESMetric, {'train': 1, 'val': 6, 'test': 6}),
    ('refclef-unc', RefCLEFDataset, ReferringIoUMetric, {'train': 1, 'val': 1, 'test': 2}),
    ('refclef-berkeley', RefCLEFDataset, ReferringIoUMetric, {'train': 1, 'val': 1, 'test': 2}),
    ('coco-prompts', CocoPromptDataset, ReferringIoUMetric, {'test': 6}),
    ('voc-prompts', VOCPromptDataset, ReferringIoUMetric, {'test': 3}),
])
def test_data_sets(data, name, dataset_type, metric_type, sizes):
    config = load(f'_base_/datasets/{name}')
    for split, size in sizes.items():
        dataset = DATASETS.build(config[f'{split}_dataloader'].dataset)
        assert isinstance(dataset, dataset_type)
        assert len(dataset) == size
        sample = dataset[0]
        assert sample['inputs'].shape == (3, 448, 448)
        assert sample['data_samples'].gt_sem_seg.data.any()
    assert [type(metric) for metric in Evaluator(config.test_evaluator).metrics] == [metric_type]


def test_the_best_checkpoint_is_told_by_a_figure_that_there_is():
    config = load('sera_dinov2_grefcoco')
    assert config.default_hooks.checkpoint.save_best in summarise_gres([60], [60], [60])
    assert config.train_dataloader.dataset.type == 'GRefCOCODataset'
    assert config.model.text_encoder.num_tokens == 22
