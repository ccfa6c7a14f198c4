"""Classes of failures, the numbers about them, and the choice of examples."""
from base64 import b64encode

import cv2
import numpy as np
import pytest
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets import RefCOCODataset
from mmrefseg.errors import InputError
from mmrefseg.evaluation import PROTOCOLS, summarise_iou
from mmrefseg.evaluation.expression_counts import unions_of
from mmrefseg.evaluation.failures import RULES, choose_examples, classify_failure, collect_facts, report_failures
from mmrefseg.evaluation.failures.expression_facts import ids_by_category, same_category
from mmrefseg.evaluation.failures.router_choices import routing_by_kind
from mmrefseg.evaluation.functional import iou_ratios
from mmrefseg.evaluation.predictions.prediction import read_entry
from mmrefseg.structures.mask_formats import mask_to_rle


def box(top, left, bottom, right, shape=(40, 40)):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


TRUTH, OTHER, THIRD = box(0, 0, 10, 10), box(0, 20, 10, 30), box(20, 0, 30, 10)
NOTHING = box(0, 0, 0, 0)
DOTS = NOTHING.copy()
DOTS[15:40:3, 15:40:3] = True


@pytest.mark.parametrize(('answer', 'truth', 'others', 'expected'), [
    (TRUTH, TRUTH, (TRUTH, OTHER), None),
    (box(0, 0, 10, 6), TRUTH, (), None),  # IoU 0.6
    (NOTHING, NOTHING, (OTHER, ), None),
    (box(3, 3, 4, 4), NOTHING, (), 'no-target answered'),
    (NOTHING, TRUTH, (OTHER, ), 'empty'),
    (OTHER, TRUTH, (TRUTH, OTHER, THIRD), 'wrong object'),
    (box(0, 20, 10, 24), TRUTH, (OTHER, ), 'wrong object'),  # a part of it, where all of the answer lies
    (box(0, 6, 10, 28), TRUTH, (OTHER, ), 'wrong object'),  # on both, more on the other
    (OTHER, TRUTH, (), 'elsewhere'),  # that something is annotated there isn't known
    (TRUTH | OTHER, TRUTH, (TRUTH, OTHER), 'several objects'),
    (OTHER | THIRD, TRUTH, (OTHER, THIRD), 'several objects'),
    (box(0, 0, 40, 40), TRUTH, (TRUTH, OTHER), 'several objects'),
    (box(0, 0, 40, 40), TRUTH, (TRUTH, ), 'leak'),
    (box(0, 0, 20, 11), TRUTH, (), 'leak'),
    (box(0, 0, 10, 5), TRUTH, (), 'part'),  # IoU 0.5 is a failure
    (box(0, 0, 3, 3), TRUTH, (OTHER, ), 'part'),
    (box(0, 4, 10, 14), TRUTH, (), 'part'),  # missed as much as beyond
    (box(0, 4, 10, 15), TRUTH, (), 'leak'),
    (DOTS, TRUTH, (), 'fragments'),
    (box(0, 0, 10, 4) | box(0, 6, 10, 7) | box(12, 12, 18, 20), TRUTH, (), 'fragments'),
    (box(30, 30, 36, 36), TRUTH, (OTHER, ), 'elsewhere'),
    (box(0, 8, 10, 20), TRUTH, (OTHER, ), 'elsewhere'),
    (box(0, 11, 40, 21), TRUTH, (OTHER, ), 'elsewhere'),  # touches the other, no more
    (box(0, 0, 10, 40), TRUTH, (box(0, 20, 40, 40), ), 'leak'),  # half of it on a large object, but all of the referent
    (box(0, 6, 10, 13), TRUTH, (box(0, 10, 10, 14), ), 'part'),  # on both, more on the referent
    (box(12, 12, 16, 16) | box(16, 16, 20, 20) | box(20, 20, 24, 24), TRUTH, (), 'elsewhere'),  # one piece
    (box(12, 12, 18, 22) | box(30, 30, 34, 40), TRUTH, (), 'elsewhere'),  # the larger piece is more than half
])
def test_made_masks(answer, truth, others, expected):
    assert classify_failure(answer, truth, others) == expected
    assert expected is None or expected in RULES


def test_what_lies_on_the_referent_is_no_other_object():
    tie, table = box(2, 2, 6, 6), box(0, 0, 40, 40)
    assert classify_failure(box(0, 0, 20, 20), TRUTH, (tie, TRUTH, TRUTH | tie)) == 'leak'
    assert classify_failure(tie, TRUTH, (tie, )) == 'part'
    # The table below it is one: most of it is elsewhere.
    assert classify_failure(box(8, 8, 30, 30), TRUTH, (table, )) == 'wrong object'
    assert classify_failure(box(0, 0, 25, 40), TRUTH, (table, )) == 'several objects'


def test_an_object_that_is_annotated_twice_is_one():
    assert classify_failure(OTHER, TRUTH, (OTHER, OTHER, box(0, 20, 10, 29))) == 'wrong object'


def test_an_answer_of_few_pixels_is_none():
    few = box(0, 0, 2, 2)
    assert classify_failure(few, NOTHING, (), 5) is None and classify_failure(few, NOTHING, (), 4) is not None
    assert classify_failure(few, TRUTH, (), 5) == 'empty' and classify_failure(few, TRUTH, (), 4) == 'part'
    assert classify_failure(few, few, (), 5) == 'empty' and classify_failure(few, few, (), 4) is None


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Sentences 0 and 1 are of the same referent on image 1; 2 and 3 on images 2 and 3."""
    return RefCOCODataset(str(write_refcoco(tmp_path_factory.mktemp('data'), tiny_refcoco())), split='train')


@pytest.fixture(scope='module')
def infos(dataset):
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def answer(mask, **fields):
    return read_entry({'sent_id': 0, 'segmentation': mask_to_rle(mask), **fields}, 'entry', '.')


def truth_of(info):
    mask = np.zeros((info['height'], info['width']), np.uint8)
    mask[2:12, 2:12] = mask[8:18, 8:18] = 1
    return mask


def test_facts_and_figures(dataset, infos):
    """The first sentence is answered rightly, the second by nothing, the third not at all, the last everywhere."""
    right = truth_of(infos[0])
    answers = [answer(right), answer(0 * right), None, answer(np.ones((24, 32)))]
    facts = collect_facts(infos, answers, dataset.objects(), PROTOCOLS['cris'])
    assert facts.failures == [None, 'empty', 'missing', 'several objects']  # all of image 3 is annotated, too
    assert facts.counted.counts.tolist() == [[184, 184, 184], [0, 0, 184], [0, 0, 80], [100, 768, 100]]
    assert facts.ious.tolist() == [1, 0, 0, 100 / 768]
    assert facts.positions[:2] == ['middle left'] * 2 and facts.positions[3] == 'top left'
    assert facts.same_category == [0, 0, 0, 1]
    assert facts.kinds == ['location', 'attribute', '', ''] and facts.kinds_are_given and not len(facts.sweep)
    counted = facts.counted
    ratios = iou_ratios(counted.intersections, unions_of(counted.counts))
    report = report_failures(facts, ratios, answers)
    expected = summarise_iou([184, 0, 0, 100], [184, 184, 80, 768])
    assert {name: figure['mean'] for name, figure in report['figures'].items()} == expected
    assert report['failures']['number'] == 3 and report['failures']['share'] == 75
    assert {row['name']: row['number'] for row in report['failures']['classes']} == {
        'empty': 1, 'missing': 1, 'several objects': 1}
    assert report['failures']['by_kind']['attribute']['empty'] == 100
    groups = {grouping: {row['name']: (row['expressions'], row['iou']['mean'], row['failed']['mean']) for row in rows}
              for grouping, rows in report['groups'].items()}
    assert groups['kind'] == {'attribute': (1, 0, 100), 'location': (1, 100, 0)}
    assert groups['others of its category'] == {'0': (3, pytest.approx(100 / 3), pytest.approx(200 / 3)),
                                                '1': (1, pytest.approx(10000 / 768), 100)}
    assert sum(row['expressions'] for row in report['histogram']) == 4
    assert [report['histogram'][bar]['expressions'] for bar in (0, 1, 9)] == [2, 1, 1]
    assert report['sweep'] == [] and report['routing'] == {} and report['stands_out'] == []


def test_what_stands_out_is_beyond_chance(dataset, infos):
    """Of sixty images, expressions of many words all fail; one of few words by chance."""
    few, many = ({**infos[0], 'text': text, 'kind': ''} for text in ('red cup', 'the cup left of the red one there'))
    asked = [{**(many if index % 3 else few), 'image_id': index} for index in range(60)]
    right = truth_of(infos[0])
    answers = [answer(0 * right if index % 3 or index == 0 else right) for index in range(60)]
    facts = collect_facts(asked, answers, {}, PROTOCOLS['cris'])
    ratios = iou_ratios(facts.counted.intersections, unions_of(facts.counted.counts))
    report = report_failures(facts, ratios, answers)
    found = {(row['grouping'], row['name']): row for row in report['stands_out']}
    assert list(found) == [('kind', 'relation'), ('length', '6-10')] and not report['kinds_are_given']
    row = found['length', '6-10']
    assert row['expressions'] == 40 and row['failed'] == {'mean': 100, 'low': 100, 'high': 100}
    assert row['beyond'] == pytest.approx(40 - 40 * 41 / 60)


def test_same_category_where_annotations_tell(dataset, infos):
    objects = ids_by_category(dataset.objects())
    assert [same_category(info, objects) for info in infos] == [0, 0, 0, 1]
    assert same_category({**infos[3], 'ann_ids': [13, 14]}, objects) == 0
    assert same_category({**infos[3], 'category_id': -1}, objects) is None
    assert same_category({**infos[3], 'image_id': 77}, objects) == 0


def test_annotations_without_number_are_refused(dataset, infos):
    """Their masks would take gigabytes."""
    other = dataset.objects()['3'][1]
    wrong = answer(np.eye(24, 32, dtype=np.uint8))
    crowded = {'3': [other] * ((1 << 31) // (24 * 32) + 1)}
    with pytest.raises(InputError, match='objects are annotated on its 24 x 32 pixels'):
        collect_facts(infos[3:], [wrong], crowded, PROTOCOLS['cris'])


def test_no_target(infos):
    asked = [{**infos[0], 'segmentation': None, 'category_id': -1}] * 3
    few = 0 * truth_of(infos[0])
    few[0, :4] = 1
    facts = collect_facts(asked, [answer(few), answer(0 * few), None], {}, PROTOCOLS['lisa'])
    assert facts.failures == ['no-target answered', None, 'missing'] and facts.positions == [''] * 3
    assert facts.ious.tolist() == [0, 1, 0]
    cleared = collect_facts(asked[:2], [answer(few), answer(0 * few)], {}, PROTOCOLS['lisa'], min_pixels=5)
    assert cleared.failures == [None, None] and cleared.ious.tolist() == [1, 1]


def encoded(picture):
    return b64encode(cv2.imencode('.png', picture)[1].tobytes()).decode()


def test_sweep_by_hand(infos):
    """Half of the referent has 0.6, the rest of it 0.3, and as much beside it, too."""
    truth = truth_of(infos[0])
    places = np.flatnonzero(truth)
    picture = np.zeros(truth.size, np.uint8)
    picture[places[:92]], picture[places[92:]] = 153, 77
    picture[np.flatnonzero(truth == 0)[:92]] = 77
    stored = answer(truth, probability=encoded(picture.reshape(truth.shape)))
    facts = collect_facts(infos[:2], [stored, answer(truth)], {}, PROTOCOLS['cris'])
    assert len(facts.sweep) == 1
    rows = {row['threshold']: row for row in facts.sweep.figures()}
    assert list(rows) == list(range(5, 100, 5))
    assert rows[30]['mIoU'] == rows[30]['oIoU'] == pytest.approx(100 * 184 / 276)
    assert rows[35]['mIoU'] == rows[55]['mIoU'] == 50
    assert rows[60]['mIoU'] == 0  # 153 is 0.6, which isn't above 0.6


@pytest.mark.parametrize(('probability', 'message'), [
    (7, 'must be an 8-bit grey PNG in base64, got an object of type int'), ('?', 'must be an 8-bit grey PNG in base64'),
    ('AAAA', 'is damaged, cut off or not an image'), (float('nan'), 'got an object of type float'),
])
def test_damaged_probabilities(infos, probability, message):
    with pytest.raises(InputError, match=message) as error:
        collect_facts(infos[:1], [answer(truth_of(infos[0]), probability=probability)], {}, PROTOCOLS['cris'])
    assert 'entry' in str(error.value)


def routed(**weights):
    return answer(np.zeros((2, 2)), routing={'fusion.0': weights})


def test_routing_by_hand():
    answers = [routed(a=0.75, b=0.25), None, routed(a=0, b=1), answer(np.zeros((2, 2)))]
    found = routing_by_kind(answers, ['location', '', 'attribute', ''])['fusion.0']
    assert list(found) == ['all', 'attribute', 'location']
    assert found['all'] == {'a': {'weight': 0.375, 'chosen': 0.5, 'first': 0.5},
                            'b': {'weight': 0.625, 'chosen': 1, 'first': 0.5}}
    assert found['location']['a'] == {'weight': 0.75, 'chosen': 1, 'first': 1}
    assert routing_by_kind([None], ['']) == {}


@pytest.mark.parametrize('routing', [
    [], {'a': 1}, {'a': {}}, {'a': {'b': float('nan')}}, {'a': {'b': 'c'}}, {'a': {'b': 2}},
])
def test_damaged_routing(routing):
    with pytest.raises(InputError, match="entry: 'routing' must be an object with each router's experts"):
        routing_by_kind([answer(np.zeros((2, 2)), routing=routing)], [''])


def test_routing_of_two_models():
    with pytest.raises(InputError, match='are others than those of the first answer'):
        routing_by_kind([routed(a=1), routed(b=1)], ['', ''])


def test_examples():
    """Four of each; the median's lie in the middle; the classes' are there, too, and always the same."""
    ious = np.linspace(1, 0, 101)
    failures = ['leak' if iou <= 0.5 else None for iou in ious]
    failures[60] = 'part'
    found = choose_examples(ious, failures, 4)
    by_choice = {choice: [index for index, reasons in found.items() if choice in reasons]
                 for choice in ('worst', 'median', 'best', 'of its class')}
    assert by_choice['worst'] == [100, 99, 98, 97] and by_choice['best'] == [3, 2, 1, 0]
    assert by_choice['median'] == [52, 51, 50, 49]
    assert len(by_choice['of its class']) == 3 and 60 in by_choice['of its class']
    assert list(found) == sorted(found, reverse=True) and found == choose_examples(ious, failures, 4)


def test_examples_of_equals_and_of_few():
    assert list(choose_examples(np.zeros(1000), [None] * 1000, 3)) != [0, 1, 2]
    assert list(choose_examples(np.array([0.5, 0.2]), ['part', 'leak'], 9)) == [1, 0]
