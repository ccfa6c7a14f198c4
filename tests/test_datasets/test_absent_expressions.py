"""Expressions that name nothing on the image."""
import json

import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets import AbsentExpressions, JSONLinesDataset, RefCOCODataset
from mmrefseg.datasets.refshapes import SHAPES, make_refshapes
from mmrefseg.datasets.seeding import SampleIndex
from mmrefseg.errors import InputError

PIPELINE = [dict(type='LoadReferringImage'), dict(type='LoadReferringMask'), dict(type='SampleSentence'),
            dict(type='Letterbox', size=112), dict(type='PackRefSegInputs')]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('refshapes')
    make_refshapes(root, {'train': 30})
    return root


def shapes_on_images(root):
    """By the annotations, those that nothing refers to included."""
    content = json.loads((root / 'instances.json').read_text())
    there = {}
    for annotation in content['annotations']:
        there.setdefault(annotation['image_id'], set()).add(SHAPES[annotation['category_id'] - 1])
    return there


@pytest.mark.parametrize('unit', ['ref', 'sentence'])
def test_by_category_nothing_of_the_kind_is_there(root, unit):
    dataset, there = AbsentExpressions(RefCOCODataset(str(root), unit=unit), rate=1.0), shapes_on_images(root)
    changed = 0
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if info['segmentation'] is not None:
            continue
        changed += 1
        text = info['sentences'][0]['text'] if unit == 'ref' else info['text']
        assert any(shape in text and shape not in there[info['image_id']] for shape in SHAPES)
    assert changed > 0.95 * len(dataset)


def test_rate_and_epochs(root):
    dataset = AbsentExpressions(RefCOCODataset(str(root)), rate=0.3)
    texts = [[dataset.get_data_info(SampleIndex(index, (0, epoch, index)))['segmentation'] is None
              for index in range(len(dataset))] for epoch in (0, 0, 1)]
    assert np.mean(texts) == pytest.approx(0.3, abs=0.06)
    assert texts[0] == texts[1] != texts[2]
    none = AbsentExpressions(RefCOCODataset(str(root)), rate=0.0)
    assert all(none.get_data_info(index) == none.dataset.get_data_info(index) for index in range(20))


def test_the_mask_is_empty_and_the_ids_stay(root):
    plain = RefCOCODataset(str(root), unit='ref', pipeline=PIPELINE)
    dataset = AbsentExpressions(plain, rate=1.0)
    for index in range(8):
        sample, own = dataset[index]['data_samples'], plain[index]['data_samples']
        assert (sample.ref_id, sample.image_id) == (own.ref_id, own.image_id)
        assert not sample.gt_sem_seg.data.any() and own.gt_sem_seg.data.any()
        assert sample.text not in {sentence['text'] for sentence in plain.get_data_info(index)['sentences']}


def test_without_categories_by_nouns(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'annotations').mkdir()
    lines = []
    for name, expressions in (('a', ['the red cup', 'a spoon']), ('b', ['the left dog']), ('c', ['the left one'])):
        Image.new('RGB', (20, 16)).save(tmp_path / f'images/{name}.png')
        lines += [{'image': f'{name}.png', 'expression': text, 'mask': [[2, 2, 9, 2, 9, 9, 2, 9]]}
                  for text in expressions]
    (tmp_path / 'annotations/train.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    dataset = AbsentExpressions(JSONLinesDataset(str(tmp_path)), rate=1.0)
    asked = [dataset.get_data_info(index)['text'] for index in range(len(dataset))]
    assert asked[:2] == ['the left dog'] * 2
    assert asked[2] in ('the red cup', 'a spoon')
    assert asked[3] in ('the red cup', 'a spoon', 'the left dog')


def test_other_data_sets_are_refused(root):
    with pytest.raises(InputError, match='wraps the data sets of mmrefseg, got ShuffledExpressions'):
        AbsentExpressions(dict(type='ShuffledExpressions', dataset=dict(type='RefCOCODataset', data_root=str(root))))
