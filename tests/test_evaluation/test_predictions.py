"""Files of predictions of any program: reading them, and finding whom they answer."""
import json
import os

import numpy as np
import pytest
import torch
from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzed_surfaces.predictions import PREDICTIONS
from helpers.fuzzing import endings
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from PIL import Image
from pycocotools import mask as coco_mask

from mmrefseg.datasets import RefCOCODataset
from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.evaluation import PROTOCOLS, evaluate, resolve_protocol, summarise_iou
from mmrefseg.evaluation.predictions import count_predictions, match_predictions, read_predictions, refuse_strangers
from mmrefseg.evaluation.predictions.prediction import read_entry


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Sentences 0 and 1 are of ref 0 on one.jpg, 2 of ref 1 on two.png, 3 of ref 2 on three.jpg."""
    content = tiny_refcoco()
    return RefCOCODataset(str(write_refcoco(tmp_path_factory.mktemp('data'), content)), split='train')


@pytest.fixture(scope='module')
def infos(dataset):
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def entry(**names):
    return read_entry({'segmentation': None, **names}, 'entry', '.')


def places(infos, **names):
    """Sentences that an answer of these names belongs to, or why there are none."""
    found = match_predictions(infos, [entry(**names)], 'images')
    assert len(found.unmatched) + any(found.answers) == 1
    return [index for index, answer in enumerate(found.answers) if answer] or found.unmatched[0][1]


@pytest.mark.parametrize(('names', 'expected'), [
    (dict(sent_id=1), [1]), (dict(sent_id='1'), [1]), (dict(sent_id=1.0), [1]), (dict(sentence_id=1), [1]),
    (dict(sent_id=1, ref_id=0, image_id='1', file_name='one.jpg'), [1]), (dict(ref_id=1), [2]),
    (dict(ref_id=0, text='Red  cup.'), [1]), (dict(image_id=2), [2]), (dict(image='two.png'), [2]),
    (dict(file_name='two'), [2]), (dict(image_id=1, expression='the left cup'), [0]),
    (dict(file_name='one_11.jpg', text='red cup'), [1]), (dict(text='corner'), [3]), (dict(sent_id=1, text='cup'), [1]),
])
def test_names(infos, names, expected):
    assert places(infos, **names) == expected


@pytest.mark.parametrize(('names', 'reason'), [
    (dict(sent_id=9), "there is no sent_id '9'"), (dict(sent_id=1, ref_id=1), "its ref_id '1' is not that of"),
    (dict(ref_id=0), 'its referent has 2 expressions; write the sent_id or the text'),
    (dict(image_id=1, text='dog'), "there is no expression 'dog' by its names"),
    (dict(file_name='four.jpg'), "there is no file_name 'four.jpg'"), (dict(text='dog'), "no expression 'dog'"),
])
def test_names_that_fit_nothing(infos, names, reason):
    assert reason in places(infos, **names)


def test_one_text_of_several_referents_and_of_one(infos):
    twice = [{**infos[0], 'text': 'cup', 'sent_id': 0}, {**infos[1], 'text': 'cup', 'sent_id': 1}]
    assert places(twice, image_id=1, text='cup') == [0, 1]
    twice[1]['ref_id'] = 5
    assert places(twice, image_id=1, text='cup') == '2 expressions have its names; write the sent_id'


def test_another_text_is_noted(infos):
    found = match_predictions(infos, [entry(sent_id=1, text='RED CUP'), entry(sent_id=0, text='a dog')])
    assert [prediction.names['sent_id'] for prediction in found.other_texts] == ['0'] and not found.unmatched


def test_the_highest_score_counts(infos):
    found = match_predictions(infos, [entry(sent_id=1, score=score) for score in (0.2, 0.9, 0.5)])
    assert found.answers[1].score == 0.9
    with pytest.raises(InputError, match='entry and entry answer the same expression; remove one, or give each a'):
        match_predictions(infos, [entry(sent_id=1), entry(sent_id=1, score=0.5)])


def test_too_many_strangers(infos):
    found = match_predictions(infos, [entry(sent_id=1), entry(sent_id=77)])
    refuse_strangers(found.unmatched, 2, 50)
    with pytest.raises(InputError, match=r"1 of 2 predictions belong to no expression .*more than 5 %:\n.*'77'"):
        refuse_strangers(found.unmatched, 2, 5)


def square(height=24, width=32):
    mask = np.zeros((height, width), np.uint8)
    mask[2:12, 2:12] = 1
    return mask


def rle(mask):
    code = coco_mask.encode(np.asfortranarray(mask))
    return {'size': list(mask.shape), 'counts': code['counts'].decode()}


def test_every_form_says_the_same(dataset, infos, tmp_path):
    """RLE in a list, by split and in lines, polygons and pictures, alone and by split."""
    mask = square()
    polygon = [[2, 2, 12, 2, 12, 12, 2, 12]]
    assert (coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygon, 24, 32))) == mask).all()
    rows = {'rle': {'sent_id': 0, 'segmentation': rle(mask)}, 'polygons': {'sent_id': '0', 'segmentation': polygon},
            'picture': {'sent_id': 0, 'mask': 'masks/0.png'}}
    (tmp_path / 'masks/train').mkdir(parents=True)
    for path in ('masks/0.png', 'masks/train/0.png'):
        Image.fromarray(255 * mask).save(tmp_path / path)
    files = {f'{name}.json': json.dumps([row]) for name, row in rows.items()}
    files |= {'lines.jsonl': '\n'.join(json.dumps(row) for row in (rows['rle'], {**rows['rle'], 'sent_id': 1})),
              'splits.json': json.dumps({'train': [rows['rle']], 'protocols': {}}),
              'coco.json': json.dumps({'annotations': [{**rows['rle'], 'split': 'train'}], 'info': {}})}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    expected = count_predictions(infos[:1], [entry(sent_id=0)._replace(masks={None: rows['rle']['segmentation']})],
                                 [PROTOCOLS['cris']])['cris'].counts.tolist()
    assert expected[0][0] > 0
    for name in (*files, 'masks'):
        found = read_predictions(tmp_path / name)
        assert found.splits.keys() <= {None, 'train'}
        for predictions in found.splits.values():
            answers = match_predictions(infos, predictions).answers
            counts = count_predictions(infos[:1], answers[:1], [PROTOCOLS['cris']])['cris'].counts
            assert counts.tolist() == expected


def test_counts_against_arrays(infos):
    """And a missing answer counts as an empty one, or as a full one where nothing is meant."""
    random = np.random.default_rng(0)
    nothing = {**infos[3], 'segmentation': None}
    # The sentences of one referent stand together; no target on images of different sizes is not one.
    asked = [{**infos[2], 'segmentation': None}, nothing, infos[0], infos[2], nothing, nothing, infos[3]]
    shapes = [(info['height'], info['width']) for info in asked]
    masks = [(random.random(shape) < 0.4).astype(np.uint8) for shape in shapes]
    masks[4][:] = 0
    answers = [entry(sent_id=0)._replace(masks={None: rle(mask)}) for mask in masks]
    answers[5] = answers[6] = None
    protocols = [*PROTOCOLS.values()]
    counted = count_predictions(asked, answers, protocols, boundary=True)
    truths = [np.zeros(shape, np.uint8) for shape in shapes]
    truths[2][2:12, 2:12] = truths[2][8:18, 8:18] = 1
    truths[3] = np.concatenate([np.zeros(40), np.ones(80), np.zeros(680)]).reshape(20, 40).T.astype(np.uint8)
    truths[6][:10, :10] = 1
    masks[5][:], masks[6][:] = 1, 0
    for protocol in protocols:
        found = counted[protocol.name]
        expected = evaluate(masks, truths, protocol, (50, ))
        figures = evaluate_counts(found, protocol)
        assert figures == expected
        assert found.boundary_counts.shape == (7, 3)
    assert counted['cris'].areas.tolist() == [int(truth.sum()) for truth in truths]


def evaluate_counts(counted, protocol):
    return summarise_iou(counted.intersections, counted.unions, (50, ), protocol.empty_union, protocol.comparison)


def test_a_mask_in_the_protocols_own_frame(infos):
    protocol = resolve_protocol(dict(base='lavt', name='small', resolution=(8, 8)))
    answer = entry(sent_id=0)._replace(masks={'cris': None, 'small': rle(np.eye(8, dtype=np.uint8))})
    assert count_predictions(infos[:1], [answer], [protocol])['small'].counts[0, 1] == 8
    with pytest.raises(InputError, match='made under the protocol cris, small, and has no mask for lisa: test the'):
        count_predictions(infos[:1], [answer], [PROTOCOLS['lisa']])


@pytest.mark.parametrize(('fields', 'message'), [
    (dict(segmentation=rle(square(32, 24))), r'entry: its RLE must have the size \[24, 32\] of the image, got'),
    (dict(segmentation={'size': [24, 32], 'counts': 'zzz'}), 'entry: '),
    (dict(segmentation={'size': [24, 32], 'counts': [float('nan')]}), 'entry: '),
    (dict(segmentation=[[0, 0, float('nan'), 1, 5, 5]]), 'entry: '),
    (dict(mask='nowhere.png'), 'entry: the mask .*nowhere.png is missing'),
])
def test_masks_that_cannot_be_drawn(infos, fields, message):
    answer = read_entry({'sent_id': 0, **fields}, 'entry', '.')
    with pytest.raises(InputError, match=message):
        count_predictions(infos[:1], [answer], [PROTOCOLS['cris']])


@pytest.mark.parametrize(('value', 'message'), [
    ([], 'expected an object'), ({'segmentation': None}, 'names no expression'), ({'sent_id': 1}, "write either 'segm"),
    ({'sent_id': 1, 'segmentation': None, 'mask': 'a.png'}, 'write either'),
    ({'sent_id': True, 'segmentation': None}, "'sent_id' must be a whole number or a string"),
    ({'sent_id': 1.5, 'segmentation': None}, "'sent_id'"), ({'sent_id': 10**30, 'segmentation': None}, "'sent_id'"),
    ({'sent_id': [1], 'segmentation': None}, "'sent_id'"), ({'text': 5, 'segmentation': None}, 'must be a string'),
    ({'text': 'a' * 5000, 'segmentation': None}, '5000 characters'),
    ({'sent_id': 1, 'mask': '../a.png'}, 'its mask must be a path below'), ({'sent_id': 1, 'mask': 7}, 'its mask must'),
    ({'sent_id': 1, 'segmentation': {'a': 1}}, 'its mask must'), ({'sent_id': 1, 'segmentation': 'x'}, 'its mask must'),
    ({'sent_id': 1, 'segmentation': None, 'score': float('nan')}, "'score' must be a finite number"),
    ({'sent_id': 1, 'segmentation': None, 'score': '5'}, "'score'"),
    ({'sent_id': 1, 'segmentation': None, 'score': 10**400}, "'score'"),
    *[({'sent_id': 1, 'segmentation': nothing}, 'its mask must') for nothing in ({}, 0, False, '')],
    ({'sent_id': 1, 'segmentation': None, 'protocol': 5}, "'protocol' must be a name"),
    ({'sent_id': 1, 'segmentation': None, 'masks': [1]}, "'masks' an object"),
    ({'sent_id': 1, 'segmentation': None, 'masks': {'a': 1}}, r"masks\['a'\] must be an object"),
])
def test_entries_that_are_none(value, message):
    with pytest.raises(InputError, match=f'^entry.*{message}'):
        read_entry(value, 'entry', '.')


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('a.json', '[{"sent_id": 1', 'not a whole JSON file'), ('a.json', '5', 'must hold a list'),
    ('a.json', '{"val": {"mIoU": 5}}', "'val' must be a list of predictions"),
    ('a.json', '{"protocols": [], "val": []}', "'protocols' must be an object"),
    ('a.json', '{"protocols": {"x": {"threshold": 7}}}', 'threshold of the protocol'),
    ('a.json', '[{"sent_id": 1, "segmentation": null, "split": 5}]', "'split' must be a string"),
    ('a.jsonl', '{"sent_id": 1, "segmentation": null}\n[]', 'line 2: expected an object'),
    ('a.json', '[{"sent_id": 1, "segmentation": null, "split": "../x"}]', "'split' must be a path below"),
    ('a.json', '{"a/b": []}', "a split must be a split's name"), ('a.json', '{"": []}', 'a split must be the name'),
])
def test_files_that_are_none(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_predictions(tmp_path / name)


def test_two_lists_of_predictions(tmp_path):
    lists = {'predictions': [{'sent_id': 1, 'segmentation': None}], 'results': [], 'images': []}
    (tmp_path / 'a.json').write_text(json.dumps(lists))
    with pytest.raises(InputError, match='a.json holds predictions and results, and nobody can tell'):
        read_predictions(tmp_path / 'a.json')
    del lists['results']
    (tmp_path / 'a.json').write_text(json.dumps(lists))
    assert len(read_predictions(tmp_path / 'a.json').splits[None]) == 1


def test_links_out_of_the_folder(tmp_path):
    """Of a mask, and of a folder of them; the folder itself may be a link."""
    Image.fromarray(square()).save(tmp_path / 'secret.png')
    for folder in ('masks/val', 'elsewhere'):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(square()).save(tmp_path / folder / '0.png')
    (tmp_path / 'masks/val/1.png').symlink_to('0.png')
    (tmp_path / 'again').symlink_to('masks')
    assert [mask.names['sent_id'] for mask in read_predictions(tmp_path / 'again').splits['val']] == ['0', '1']
    (tmp_path / 'masks/val/2.png').symlink_to(tmp_path / 'secret.png')
    with pytest.raises(InputError, match='2.png: .*2.png is a link to .*secret.png, outside of .*masks. Copy the file '
                                         'there$'):
        read_predictions(tmp_path / 'masks')
    (tmp_path / 'masks/val/2.png').unlink()
    (tmp_path / 'masks/test').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(InputError, match='0.png is a link to .*elsewhere/0.png, outside of .*masks'):
        read_predictions(tmp_path / 'masks')
    (tmp_path / 'own').mkdir()
    (tmp_path / 'own/0.png').symlink_to(tmp_path / 'secret.png')
    rows = {'a.json': '[{}]', 'a.jsonl': '{}', 'b.json': '{{"val": [{}]}}'}
    for name, rest in rows.items():
        (tmp_path / 'own' / name).write_text(rest.format('{"sent_id": 0, "mask": "0.png"}'))
        with pytest.raises(InputError, match=r'own/[ab].json.*0.png is a link to .*secret.png, outside of .*own'):
            read_predictions(tmp_path / 'own' / name)


def test_masks_that_are_no_files(infos, tmp_path):
    os.mkfifo(tmp_path / '0.png')
    answer = read_predictions(tmp_path).splits[None][0]
    with pytest.raises(InputError, match='0.png is no file, but a folder, pipe or device'):
        count_predictions(infos[:1], [answer], [PROTOCOLS['cris']])


def test_a_mask_of_a_hundred_million_pixels_is_not_decoded(infos, tmp_path, monkeypatch):
    """Nor one of any other size than its image's."""
    Image.new('L', (33, 24)).save(tmp_path / '0.png')
    monkeypatch.setattr('mmrefseg.structures.mask_files._pixels', None)
    answer = read_predictions(tmp_path).splits[None][0]
    with pytest.raises(InputError, match=r'0.png: it is \(24, 33\) \(H, W\), but its image \(24, 32\)'):
        count_predictions(infos[:1], [answer], [PROTOCOLS['cris']])


def test_no_file_and_an_empty_folder(tmp_path):
    with pytest.raises(MissingInputError, match='gone.json is missing; name a file of predictions'):
        read_predictions(tmp_path / 'gone.json')
    with pytest.raises(InputError, match='holds no PNG'):
        read_predictions(tmp_path)


def test_arrays_by_hand():
    truths = [np.array([[1, 1, 0, 0]], np.uint8), np.array([[0, 0, 0, 0]], bool)]
    found = evaluate([np.array([[0.9, 0.35, 0.36, 0.1]]), torch.zeros(1, 4)], truths, 'cris', (25, 50))
    assert found == pytest.approx({'mIoU': 100 / 6, 'oIoU': 100 / 3, 'Pr@25': 50, 'Pr@50': 0})
    assert evaluate([np.array([[1, 0, 0, 0]]), np.zeros((1, 4), int)], truths, 'lisa', ()) == {'mIoU': 75, 'oIoU': 50}
    flipped = [truths[0][:, ::-1]]  # a view with strides below 0
    assert evaluate(flipped, [np.array([[0, 1, 1, 1]])[:, ::-1]], 'lisa', ()) == pytest.approx(
        {'mIoU': 25, 'oIoU': 25})


@pytest.mark.parametrize(('predictions', 'truths', 'message'), [
    ([np.full((2, 2), np.nan)], [np.ones((2, 2), bool)], r'pair 0: its probabilities are not all from 0 to 1 \(NaN'),
    ([np.full((2, 2), 3.5)], [np.ones((2, 2), bool)], 'apply a sigmoid to logits'),
    ([np.ones((2, 3), bool)], [np.ones((2, 2), bool)], r'the prediction is \(2, 3\) and the ground truth \(2, 2'),
    ([np.ones((2, 2), bool)], [np.ones((2, 2))], 'ground truth must be a mask'), ([], [], 'no expressions'),
    ([np.ones((2, 2), bool)], [], 'do not pair up'),
])
def test_arrays_that_cannot_be_evaluated(predictions, truths, message):
    with pytest.raises(InputError, match=message):
        evaluate(predictions, truths)


@pytest.mark.parametrize('kind', PREDICTIONS)
def test_damaged_files_end_clearly(tmp_path, kind):
    attempt = SURFACES[f'predictions: {kind}'](tmp_path)
    attempt(None)
    assert endings(attempt, range(60)).unclear == {}
