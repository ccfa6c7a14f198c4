import numpy as np
import pytest

from mmrefseg.datasets import RefCOCODataset, ShuffledExpressions
from mmrefseg.datasets.shuffled_expressions import exchange
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
    monkeypatch.setattr('mmrefseg.datasets.shuffled_expressions.print_log', lambda message, *_: said.append(message))
    partner = exchange([1, 1, 1, 2], ['a', 'b', 'c', 'a'], seed)
    assert sorted(partner) == [0, 1, 2, 3]
    assert (partner != np.arange(4)).all()
    assert len(said) == 1
    assert 'could not be exchanged' in said[0]


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
        assert {**after, 'text': 0, 'kind': 0} == {**before, 'text': 0, 'kind': 0}
        assert np.array_equal(shuffled[i]['data_samples'].gt_sem_seg.data, dataset[i]['data_samples'].gt_sem_seg.data)
    assert shuffled.metainfo == dataset.metainfo


def test_lazy(root):
    shuffled = ShuffledExpressions(RefCOCODataset(root, lazy_init=True), lazy_init=True)
    assert not shuffled.dataset._fully_initialized
    assert shuffled.get_data_info(0)['text'] != 'the left cup'


def test_refs_and_single_samples_are_refused(root):
    with pytest.raises(ValueError, match="unit='sentence'"):
        ShuffledExpressions(RefCOCODataset(root, unit='ref'))
    with pytest.raises(ValueError, match='at least two samples'):
        ShuffledExpressions(RefCOCODataset(root, split='val'))
