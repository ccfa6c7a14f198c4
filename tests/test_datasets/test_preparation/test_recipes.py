import json

import numpy as np
import pytest
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco
from helpers.instance_files import tiny_coco, write_coco, write_voc
from helpers.phrasecut_files import tiny_phrasecut, write_phrasecut
from helpers.refclef_files import write_refclef
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets import ReferringLMDBDataset
from mmrefseg.datasets.preparation import RECIPES, prepare, preparing, read_manifest, validate, verify
from mmrefseg.registry import DATASETS

WRITERS = {
    'refcoco-unc': lambda root: write_refcoco(root, tiny_refcoco()),
    'refcocog-google': lambda root: write_refcoco(root, tiny_refcoco(), 'google'),
    'grefcoco': lambda root: write_grefcoco(root, tiny_grefcoco()),
    'refclef-unc': write_refclef,
    'refclef-berkeley': lambda root: write_refclef(root, 'berkeley'),
    'phrasecut': lambda root: write_phrasecut(root, {**(content := tiny_phrasecut()),
                                                     'tasks': {'test': [], **content['tasks']}}),
    'coco-prompts': lambda root: write_coco(root, tiny_coco()),
    'voc-prompts': write_voc,
}
PIPELINE = [{'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}]


@pytest.mark.parametrize('name', WRITERS)
def test_every_set_keeps_its_samples(name, tmp_path, monkeypatch):
    recipe = RECIPES[name]._replace(counts={})
    monkeypatch.setattr(preparing, 'RECIPES', {name: recipe})
    WRITERS[name](tmp_path / 'src')
    prepare(name, [tmp_path / 'src'], tmp_path / 'out', lmdb=True)
    assert verify(tmp_path / 'out') == []
    for split, counts in read_manifest(tmp_path / 'out')['splits'].items():
        original = DATASETS.build({'type': recipe.dataset, 'data_root': str(tmp_path / 'src'), 'split': split,
                                   'pipeline': PIPELINE, **recipe.arguments})
        dataset = ReferringLMDBDataset(str(tmp_path / 'out'), split, pipeline=PIPELINE)
        assert len(dataset) == len(original) == counts['expressions']
        for ours, theirs in zip(dataset, original, strict=True):
            for key in ('img', 'gt_seg_map'):
                np.testing.assert_array_equal(ours[key], theirs[key])
            same = theirs.keys() - {'img', 'gt_seg_map', 'img_path', 'image_folder', 'segmentation'}
            assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
            assert (ours['segmentation'] is None) == (theirs['segmentation'] is None)
        assert {dataset.image_key(referent) for referent in dataset.referents()} == {
            original.image_key(referent) for referent in original.referents()}


@pytest.mark.parametrize('polygons', [[], [[[[3, 3]]]], [[[[40, 3], [50, 3], [50, 9]]]]])
def test_phrases_without_an_outline_refer_to_nothing(tmp_path, monkeypatch, polygons):
    monkeypatch.setattr(preparing, 'RECIPES', {'phrasecut': RECIPES['phrasecut']._replace(counts={}, splits=('val', ))})
    content = tiny_phrasecut()
    content['tasks']['val'][0]['Polygons'] = polygons
    write_phrasecut(tmp_path / 'src', {**content, 'tasks': {'test': [], **content['tasks']}})
    prepare('phrasecut', [tmp_path / 'src'], tmp_path / 'out')
    assert verify(tmp_path / 'out') == []
    file = tmp_path / 'out/annotations/val.jsonl'
    assert json.loads(file.read_text())['mask'] is None
    assert validate(file) == (1, [])


@pytest.mark.parametrize('name', RECIPES)
def test_recipes_fit_their_classes(name, tmp_path):
    recipe = RECIPES[name]
    dataset = DATASETS.build({'type': recipe.dataset, 'data_root': str(tmp_path), 'split': 'val', 'lazy_init': True,
                              'data_prefix': {'img_path': 'images'}, **recipe.arguments})
    assert not dataset._fully_initialized
    assert set(recipe.counts) <= set(recipe.splits or recipe.counts)


def test_published_counts():
    totals = {name: tuple(sum(number or 0 for number in column) for column in zip(*recipe.counts.values(), strict=True))
              for name, recipe in RECIPES.items() if recipe.counts}
    assert totals == {
        'refcoco-unc': (50000, 19994, 142210),
        'refcoco-google': (50000, 28299, 0),
        'refcoco+-unc': (49856, 19992, 141564),
        'refcocog-umd': (49822, 25799, 95010),
        'refcocog-google': (49822, 29348, 95010),
        'phrasecut': (0, 77362, 346307),
    }
