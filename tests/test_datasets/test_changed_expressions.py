import json

import numpy as np
import pytest

from mmrefseg.datasets import ChangedExpressions, RefCOCODataset, SameImageSampler, ShuffledExpressions
from mmrefseg.datasets.category_matching import NameIndex
from mmrefseg.datasets.changed_expressions import (
    EXPRESSION_CHANGES,
    Questions,
    absent_partners,
    exchange,
    only_nouns,
    shuffle_words,
    swap_places,
)
from mmrefseg.datasets.refshapes import SHAPES, make_refshapes
from mmrefseg.registry import DATASETS

_PIPELINE = ({'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}, {'type': 'PackRefSegInputs'})


def test_exchange_avoids_image_and_text():
    generator = np.random.default_rng(3)
    images = generator.integers(0, 200, 1000)
    texts = [f'text {i}' for i in generator.integers(0, 20, 1000)]
    partner = exchange(images, texts, seed=0)
    assert sorted(partner) == list(range(1000))
    assert (images[partner] != images).all()
    assert all(texts[other] != text for other, text in zip(partner, texts, strict=True))


def test_exchange_is_drawn_from_the_seed():
    images, texts = range(50), [str(i) for i in range(50)]
    assert np.array_equal(exchange(images, texts, 1), exchange(images, texts, 1))
    assert not np.array_equal(exchange(images, texts, 1), exchange(images, texts, 2))


@pytest.mark.parametrize('seed', range(20))
def test_exchange_of_the_only_possible_kind(seed):
    """Two images of two sentences each: every sentence must change sides."""
    assert set(exchange([7, 7, 9, 9], ['a', 'b', 'c', 'd'], seed)[:2]) == {2, 3}


@pytest.mark.parametrize('seed', range(10))
def test_impossible_exchange_still_moves_every_sample_and_warns(seed, monkeypatch):
    said = []
    monkeypatch.setattr('mmrefseg.datasets.changed_expressions.print_log', lambda message, *_: said.append(message))
    partner = exchange([1, 1, 1, 2], ['a', 'b', 'c', 'a'], seed)
    assert sorted(partner) == [0, 1, 2, 3]
    assert (partner != np.arange(4)).all()
    assert len(said) == 1
    assert 'could not be exchanged' in said[0]


@pytest.mark.parametrize('seed', range(10))
def test_absent_by_hand(seed):
    """Image 7 has a cat; 8 dogs, one of which nobody refers to by that name; 9 a cat and a hot dog."""
    asked = Questions(
        images=['7', '7', '8', '9', '9', '10'], categories=[1, 1, 2, 1, 3, 2],
        texts=['the CAT', 'left one', 'two Dogs', 'Cat on the right', 'bread beside a dog', 'a dog'],
        names={'1': 'cat', '2': 'dog', '3': 'hot dog'}, on_image={'7': {'1'}, '8': {'2'}, '9': {'1', '3'}})
    partners = absent_partners(asked, seed)
    assert set(partners[:2]) <= {2, 5}, 'dogs, and neither "left one", which may be anything, nor a cat'
    assert partners[2] in (0, 3)
    assert list(partners[3:5]) == [-1, -1], 'a dog is said to be there, though none is annotated'
    assert partners[5] == -1, 'nothing is known of image 10'
    assert list(absent_partners(Questions(['1', '2'], ['cat', 'dog'], [1, 2]), 0)) == [-1, -1], 'the files do not tell'


@pytest.mark.parametrize(('text', 'expected'), [
    ('the CAT', 'a'), ('cats, and hot dogs', 'abc'), ('two buses', 'd'), ('hot cat dog', 'ac'), ('busses category', ''),
    ('', ''), ('hot  dog!', 'bc'), ('a tv/monitor', ''), ('x ' * 15 + 'x', 'e'), ('x ' * 14 + 'x', '')])
def test_names_said_by_hand(text, expected):
    names = {'a': 'cat', 'b': 'Hot Dog', 'c': 'dog', 'd': 'bus', 'e': 'x ' * 15 + 'x', 'f': 'x ' * 16 + 'x',
             'g': 'tv/monitor'}
    assert NameIndex.of(names).said(text) == set(expected)


def test_names_are_looked_up_by_the_words_of_a_text():
    """However many names a file has: one word of ten thousand names is not compared with each of them."""

    class Counting(dict):
        times = 0

        def get(self, *args):
            self.times += 1
            return super().get(*args)

    index = NameIndex.of({str(number): f'name {number}' for number in range(10_000)})
    meant = Counting(index.meant)
    assert index._replace(meant=meant).said('the name 77 of all') == {'77'} and meant.times == 10


@pytest.mark.parametrize(('change', 'text', 'expected'), [
    (swap_places, 'Top-left cup above the lefthand rt bag', 'Bottom-right cup below the righthand lft bag'),
    (swap_places, 'topmost one at the lower edge, northeast', 'bottommost one at the upper edge, southwest'),
    (swap_places, 'stopped overcoat, highest rightmost one', 'stopped overcoat, lowest leftmost one'),
    (swap_places, 'red laptop underwear', None),
    (only_nouns, 'the tall man wearing a red hat on the left', 'man hat'),
    (only_nouns, 'bottommost of 3 buildings, topleft', 'buildings'),
    (only_nouns, 'the one on the left', None),
    (only_nouns, 'white cup', 'cup'),
    (only_nouns, 'cup', None),
    (EXPRESSION_CHANGES['empty'].reword, 'cup', ''),
])
def test_other_texts_by_hand(change, text, expected):
    assert change(text, np.random.default_rng(0)) == expected


@pytest.mark.parametrize('seed', range(10))
def test_words_in_another_order(seed):
    generator = np.random.default_rng(seed)
    assert shuffle_words(' left   cup ', generator) == 'cup left'
    other = shuffle_words('a b c d', generator)
    assert sorted(other.split()) == ['a', 'b', 'c', 'd'] and other != 'a b c d'
    assert shuffle_words('a b a', generator) in ('b a a', 'a a b')
    assert shuffle_words('cup cup', generator) is None


def texts(dataset):
    return [dataset.get_data_info(index)['text'] for index in range(len(dataset))]


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shapes')
    make_refshapes(folder, {'val': 12, 'train': 1}, seed=2)
    return folder


def test_what_is_absent_in_refshapes_by_construction(shapes):
    dataset = RefCOCODataset(shapes, split='val')
    absent = ChangedExpressions(dataset, 'absent', seed=1)
    assert len(absent) > 20
    drawn = {}
    for annotation in json.loads((shapes / 'instances.json').read_text())['annotations']:
        drawn.setdefault(annotation['image_id'], set()).add(SHAPES[annotation['category_id'] - 1])
    for index in range(len(absent)):
        info = absent.get_data_info(index)
        assert any(shape in info['text'].split() for shape in set(SHAPES) - drawn[info['image_id']])
    assert texts(absent) == texts(ChangedExpressions(dataset, 'absent', seed=1))
    assert texts(absent) != texts(ChangedExpressions(dataset, 'absent', seed=2))


@pytest.mark.parametrize('change', EXPRESSION_CHANGES)
def test_only_the_words_change(shapes, change):
    dataset = RefCOCODataset(shapes, split='val', pipeline=_PIPELINE)
    changed = ChangedExpressions(dataset, change)
    own = {info['sent_id']: info for info in map(dataset.get_data_info, range(len(dataset)))}
    assert 0 < len(changed) <= len(dataset)
    for index in range(len(changed)):
        info = changed.get_data_info(index)
        before = own[info['sent_id']]
        assert info['text'] != before['text']
        assert {**info, 'text': 0, 'kind': 0} == {**before, 'text': 0, 'kind': 0}
        assert change in ('permuted', 'absent') or info['kind'] == before['kind']
    order = list(SameImageSampler(changed))
    assert [changed.image_numbers()[index] for index in order] == sorted(changed.image_numbers())
    items = changed.__getitems__(order[:6])
    assert [item['data_samples'].text for item in items] == [texts(changed)[index] for index in order[:6]]
    assert len({id(item['inputs']) for item in items}) == len({item['data_samples'].image_id for item in items})
    assert (changed[0]['inputs'] == items[0]['inputs']).all()


def test_only_text_and_kind_are_exchanged(root):
    dataset = RefCOCODataset(root, pipeline=_PIPELINE)
    shuffled = DATASETS.build({
        'type': 'ShuffledExpressions',
        'dataset': {'type': 'RefCOCODataset', 'data_root': str(root), 'pipeline': _PIPELINE}})
    pairs = {info['text']: info['kind'] for info in map(dataset.get_data_info, range(4))}
    assert sorted(shuffled[i]['data_samples'].text for i in range(4)) == sorted(pairs)
    for i in range(4):
        before, after = dataset.get_data_info(i), shuffled.get_data_info(i)
        assert after['text'] != before['text']
        assert after['kind'] == pairs[after['text']]
        assert np.array_equal(shuffled[i]['data_samples'].gt_sem_seg.data, dataset[i]['data_samples'].gt_sem_seg.data)
    assert shuffled.metainfo == dataset.metainfo
    assert texts(shuffled) == texts(ChangedExpressions(dataset, 'permuted'))


def test_files_without_categories(root):
    assert not len(ChangedExpressions(RefCOCODataset(root), 'absent'))


def test_lazy(root):
    shuffled = ShuffledExpressions(RefCOCODataset(root, lazy_init=True), lazy_init=True)
    assert not shuffled.dataset._fully_initialized
    assert shuffled.get_data_info(0)['text'] != 'the left cup'


def test_mistakes_are_refused(root):
    with pytest.raises(ValueError, match="unit='sentence'"):
        ShuffledExpressions(RefCOCODataset(root, unit='ref'))
    with pytest.raises(ValueError, match='at least two samples'):
        ShuffledExpressions(RefCOCODataset(root, split='val'))
    with pytest.raises(ValueError, match="no change 'shuffled' of expressions; there are permuted, absent"):
        ChangedExpressions(RefCOCODataset(root), 'shuffled')
