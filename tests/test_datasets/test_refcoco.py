import json
import pickle

import numpy as np
import pytest
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from torch.utils.data import DataLoader

from mmrefseg.datasets import RefCOCODataset
from mmrefseg.registry import DATASETS

_TRAIN = ({'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}, {'type': 'FlipReferring'},
          {'type': 'Letterbox', 'size': 48}, {'type': 'PackRefSegInputs'})
_TEST = ({'type': 'LoadReferringImage'}, {'type': 'Letterbox', 'size': 48}, {'type': 'LoadReferringMask'},
         {'type': 'PackRefSegInputs'})
_REF = {'split': 'train', 'ref_id': 5, 'image_id': 1, 'ann_id': 11, 'category_id': 1}


def _write_refs(root, refs):
    (root / 'refs(unc).p').write_bytes(pickle.dumps(refs))


def test_one_sample_a_sentence(root):
    dataset = RefCOCODataset(root)
    keys = 'ref_id', 'sent_id', 'text', 'kind'
    assert [tuple(info[key] for key in keys) for info in map(dataset.get_data_info, range(4))] == [
        (0, 0, 'the left cup', 'location'),
        (0, 1, 'red cup', 'attribute'),
        (1, 2, 'tall man', ''),
        (2, 3, 'corner', ''),
    ]
    assert len(dataset) == 4
    assert dataset.get_data_info(2) == {
        'img_path': str(root / 'images' / 'two.png'), 'height': 40, 'width': 20, 'image_id': 2, 'ref_id': 1,
        'ann_id': 12, 'category_id': 1, 'text': 'tall man', 'sent_id': 2, 'kind': '', 'sample_idx': 2,
        'ignore_orientation': True, 'image_folder': str(root / 'images'),
        'segmentation': {'size': [40, 20], 'counts': [40, 80, 680]}}


def test_one_sample_a_ref(root):
    dataset = RefCOCODataset(root, unit='ref')
    assert len(dataset) == 3
    info = dataset.get_data_info(0)
    assert info['sentences'] == [{'text': 'the left cup', 'sent_id': 0, 'kind': 'location'},
                                 {'text': 'red cup', 'sent_id': 1, 'kind': 'attribute'}]
    assert 'text' not in info
    assert len(info['segmentation']) == 2


def test_indices_subsets_and_lazy_loading_agree_with_the_whole(root):
    whole = RefCOCODataset(root)
    infos = [whole.get_data_info(i) for i in range(len(whole))]

    def same(dataset, places):
        found = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert [{**info, 'sample_idx': 0} for info in found] == [{**infos[i], 'sample_idx': 0} for i in places]

    same(RefCOCODataset(root, indices=2), [0, 1])
    same(RefCOCODataset(root, indices=[3, 0]), [3, 0])
    same(RefCOCODataset(root, lazy_init=True), range(4))
    same(whole.get_subset([2, 1]), [2, 1])
    same(whole.get_subset(-1), [3])
    whole.get_subset_(3)
    same(whole, [0, 1, 2])


def test_outlines_are_kept_once_a_ref_however_many_sentences(tmp_path, content):
    content['annotations'][0]['segmentation'] = [[float(i) for i in range(2000)]]
    content['refs'] = content['refs'][:1]
    content['refs'][0]['sentences'] *= 20
    dataset = RefCOCODataset(write_refcoco(tmp_path, content))
    assert len(dataset) == 40
    stored = dataset.data_list.nbytes + len(pickle.dumps(dataset._referents))
    assert stored < 3 * len(pickle.dumps(content['annotations'][0]))


def test_metainfo(root):
    dataset = RefCOCODataset(root, split='val', metainfo={'palette': [[0, 0, 0], [1, 2, 3]]})
    assert dataset.metainfo == {
        'dataset_type': 'RefCOCODataset', 'split': 'val', 'split_by': 'unc', 'classes': ('background', 'referent'),
        'palette': [[0, 0, 0], [1, 2, 3]]}


def test_other_folders(root, tmp_path):
    (root / 'images').rename(tmp_path / 'elsewhere')
    (root / 'refs(unc).p').rename(root / 'refs(umd).p')
    dataset = RefCOCODataset(root, 'umd', 'val', data_prefix={'img_path': str(tmp_path / 'elsewhere')})
    assert dataset.get_data_info(0)['img_path'] == str(tmp_path / 'elsewhere' / 'three.jpg')


def test_train_pipeline(root):
    item = RefCOCODataset(root, pipeline=_TRAIN)[0]
    assert item['inputs'].shape == (3, 48, 48)
    assert item['data_samples'].gt_sem_seg.data.shape == (1, 48, 48)


def test_test_pipeline_keeps_the_size_of_the_ground_truth(root):
    config = {'type': 'RefCOCODataset', 'data_root': str(root), 'split': 'val', 'pipeline': _TEST}
    sample = DATASETS.build(config)[0]['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, 24, 32)
    assert sample.gt_sem_seg.data.all()
    assert (sample.text, sample.sent_id, sample.ref_id, sample.image_id, sample.ann_id) == ('everything', 4, 3, 3, 14)


@pytest.mark.parametrize('context, workers', [('fork', 2), ('forkserver', 1)])
def test_workers(root, context, workers):
    dataset = RefCOCODataset(root, pipeline=_TEST)
    loader = DataLoader(dataset, batch_size=2, num_workers=workers, multiprocessing_context=context, collate_fn=list)
    samples = [item['data_samples'] for batch in loader for item in batch]
    assert [sample.sent_id for sample in samples] == [0, 1, 2, 3]
    for i, sample in enumerate(samples):
        assert np.array_equal(sample.gt_sem_seg.data, dataset[i]['data_samples'].gt_sem_seg.data)


def test_unusual_expressions_travel_as_they_are(tmp_path, content):
    texts = ['word ' * 500, '🐕👈🏽', 'ein größerer Bär', ' x ']
    for sentence, text in zip([s for ref in content['refs'][:3] for s in ref['sentences']], texts, strict=True):
        sentence['sent'] = text
    dataset = RefCOCODataset(write_refcoco(tmp_path, content), pipeline=_TEST)
    assert [dataset[i]['data_samples'].text for i in range(4)] == texts


def test_unknown_unit(root):
    with pytest.raises(TypeError, match="unit of RefCOCODataset is 'image'; it must be 'sentence' or 'ref'"):
        RefCOCODataset(root, unit='image')


def test_missing_data_root(tmp_path):
    layout = r'(?s)nowhere is missing.*instances\.json.*refs\(unc\)\.p.*images.*Set data_root'
    with pytest.raises(FileNotFoundError, match=layout):
        RefCOCODataset(tmp_path / 'nowhere')


@pytest.mark.parametrize('name', ['instances.json', 'refs(unc).p', 'images'])
def test_missing_file_is_named(root, name):
    (root / name).rename(root / 'hidden')
    with pytest.raises(FileNotFoundError) as error:
        RefCOCODataset(root)
    assert str(error.value).startswith(f'{root / name} is missing')


def test_missing_image_folder_outside_the_root_is_named(root):
    with pytest.raises(FileNotFoundError, match=r'^/not/here is missing'):
        RefCOCODataset(root, data_prefix={'img_path': '/not/here'})


def test_unknown_split_by_lists_those_that_are_there(root):
    (root / 'refs(google).p').write_bytes(b'')
    there = r'(?s)refs\(umd\)\.p is missing.*has refs\(google\)\.p, refs\(unc\)\.p: set split_by'
    with pytest.raises(FileNotFoundError, match=there):
        RefCOCODataset(root, split_by='umd')


def test_unknown_split_lists_those_that_are_there(root):
    with pytest.raises(ValueError, match=r"no split 'testA'\. It has: 'train' \(3 refs\), 'val' \(1 refs\)"):
        RefCOCODataset(root, split='testA')


def test_pickle_that_imports(root):
    (root / 'refs(unc).p').write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r'os\.system'):
        RefCOCODataset(root)


@pytest.mark.parametrize('key, table', [('image_id', 'images'), ('ann_id', 'annotations')])
def test_ref_without_image_or_annotation(root, content, key, table):
    content['refs'][1][key] = 999
    _write_refs(root, content['refs'])
    with pytest.raises(ValueError, match=rf'refs\(unc\)\.p: ref_id 1 refers to id 999, .* {table} of instances\.json'):
        RefCOCODataset(root)


@pytest.mark.parametrize('text', ['', '  \t\n', '\u3000'])
def test_empty_expression(root, content, text):
    content['refs'][2]['sentences'][0]['sent'] = text
    _write_refs(root, content['refs'])
    with pytest.raises(ValueError, match='ref_id 2, sent_id 3: the expression is empty'):
        RefCOCODataset(root)


def test_ref_without_sentences(root, content):
    content['refs'][2]['sentences'] = []
    _write_refs(root, content['refs'])
    with pytest.raises(ValueError, match='ref_id 2 has no expression'):
        RefCOCODataset(root, unit='ref')


@pytest.mark.parametrize('refs, message', [
    ({'ref_id': 0}, 'must hold a list of refs, but holds an object of type dict'),
    ([], "no split 'train'. It has: no ref at all"),
    ([3], 'element 0: expected a dictionary, got an object of type int'),
    ([{'split': 'train'}], "a ref of split 'train': 'ref_id' must be of type int, but is missing"),
    ([{'split': 'train', 'ref_id': 5, 'image_id': '1'}], "ref_id 5: 'image_id' must be of type int, got str"),
    ([{**_REF, 'sentences': ['x']}], 'ref_id 5: a sentence: expected a dictionary, got an object of type str'),
    ([{**_REF, 'sentences': [{'sent_id': 4, 'sent': 1}]}], "ref_id 5, sent_id 4: 'sent' must be of type str, got int"),
    ([{**_REF, 'sentences': [{'sent_id': 4, 'sent': 'x', 'kind': []}]}],
     "ref_id 5, sent_id 4: 'kind' must be of type str, got list"),
])
def test_refs_of_wrong_shape(root, refs, message):
    _write_refs(root, refs)
    with pytest.raises(ValueError) as error:
        RefCOCODataset(root)
    assert message in str(error.value)


def test_self_containing_refs_do_not_hang(root):
    refs = []
    refs.append(refs)
    _write_refs(root, refs)
    with pytest.raises(ValueError, match='expected a dictionary, got an object of type list'):
        RefCOCODataset(root)


@pytest.mark.parametrize('text', ['x', 'cat' * 1300])
def test_sentences_that_a_pickle_repeats_without_end_are_refused(root, content, text):
    """In a file of a hundred kilobytes: 50,000 of them, or 195 megabytes."""
    sentences = [{'sent_id': 1, 'sent': text}] * 50_000
    _write_refs(root, [{**content['refs'][0], 'sentences': sentences}])
    assert (root / 'refs(unc).p').stat().st_size < 150_000
    with pytest.raises(ValueError, match=r'refs\(unc\)\.p: ref_id \d+: the sentences up to here are far larger'):
        RefCOCODataset(root)


def _outline(segmentation):
    return lambda c: {**c, 'annotations': [{'id': 11, 'image_id': 1, 'segmentation': segmentation},
                                           *c['annotations'][1:]]}


def _image(**changes):
    return lambda c: {**c, 'images': [{**c['images'][0], **changes}, *c['images'][1:]]}


@pytest.mark.parametrize('change, message', [
    (lambda c: [], 'expected a dictionary, got an object of type list'),
    (lambda c: {'images': []}, "'annotations' must be of type list, but is missing"),
    (lambda c: {**c, 'images': {}}, "'images' must be of type list, got dict"),
    (lambda c: {**c, 'images': [*c['images'], 5]}, 'images[3]: expected a dictionary, got an object of type int'),
    (lambda c: {**c, 'annotations': [{'id': 'a'}]}, "annotations[0]: 'id' must be of type int, got str"),
    (lambda c: {**c, 'images': [{'id': 1}, *c['images'][1:]]},
     "image 1: 'file_name' must be of type str, but is missing"),
    (_outline(None), "annotation 11: 'segmentation' must be of type list or dict, got NoneType"),
    (_outline([[0, 0, 9, 0, 9, 9], [0, '1']]), 'instances.json: annotation 11: segmentation[1][1] must be a finite'),
    (_outline([[0, 0, float('nan'), 0, 9, 9]]), 'annotation 11: segmentation[0][2] must be a finite number'),
    (_outline([[0, 0, 9, True]]), 'annotation 11: segmentation[0][3] must be a finite number'),
    (_outline([1, 2]), 'annotation 11: segmentation[0] must be a flat list of x, y pairs, or an RLE, got an object of'),
    (_outline([[[[[0]]]]]), 'annotation 11: segmentation[0][0] must be a finite number'),
    (_outline({'size': [24, 32]}), 'annotation 11: segmentation.counts must be a list of run lengths or'),
    (_outline({'size': [24, 32], 'counts': [1, None]}), 'annotation 11: segmentation.counts[1] must be a finite'),
    (_outline({'counts': '0Ph0'}), 'annotation 11: segmentation.size must be [height, width], got an object of type'),
    (_image(height=float('nan')), "image 1: 'height' must be of type int, got float"),
    (_image(width=0), "image 1: 'height' and 'width' must be positive, got 24 and 0"),
    (_image(file_name=['a']), "image 1: 'file_name' must be of type str, got list"),
])
def test_instances_of_wrong_shape(root, content, change, message):
    (root / 'instances.json').write_text(json.dumps(change(content)))
    with pytest.raises(ValueError) as error:
        RefCOCODataset(root)
    assert message in str(error.value)


@pytest.mark.parametrize('text', ['{"images": [', '', '[' * 100_000, '\udcff'])
def test_instances_that_are_no_json(root, text):
    (root / 'instances.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(ValueError, match=r'instances\.json is not a whole JSON file'):
        RefCOCODataset(root)


def test_broken_image_raises_instead_of_being_replaced(root):
    (root / 'images' / 'one.jpg').write_bytes(b'')
    dataset = RefCOCODataset(root, pipeline=_TRAIN)
    with pytest.raises(ValueError, match=r'one\.jpg is empty'):
        dataset[0]


def test_images_by_split(root, content):
    dataset = RefCOCODataset(root, lazy_init=True)
    assert dataset.images_by_split() == {'train': {'coco/1', 'coco/2', 'coco/3'}, 'val': {'coco/3'}}
    assert dataset.image_key(RefCOCODataset(root).get_data_info(2)) == 'coco/2'
    assert dataset.title == f'{root} (unc)'
    _write_refs(root, [*content['refs'], {'split': 'val', 'image_id': 'x'}])
    with pytest.raises(ValueError, match=r"element 4: 'image_id' must be of type int, got str"):
        RefCOCODataset(root, lazy_init=True).images_by_split()
    assert len(RefCOCODataset(root)) == 4  # another split's ref


def test_images_of_a_split(root):
    assert RefCOCODataset(root, split='val', lazy_init=True).images() == {'coco/3'}
    with pytest.raises(ValueError, match=r"tiny \(unc\) has no split 'testA'\. It has: train, val"):
        RefCOCODataset(root, split='testA', lazy_init=True).images()


def test_whose_images_they_are(root, tmp_path, content):
    other = write_refcoco(tmp_path / 'other', content)

    def keys(folder, **kwargs):
        return RefCOCODataset(folder, lazy_init=True, **kwargs).images_by_split()['train']

    assert keys(root, image_source='own') == keys(other, image_source='own') == {'own/1', 'own/2', 'own/3'}
    assert keys(root, image_source=None).isdisjoint(keys(other, image_source=None))
    (tmp_path / 'link').symlink_to(root)
    assert keys(root, image_source=None) == keys(tmp_path / 'link', image_source=None) == {
        f'{root}/1', f'{root}/2', f'{root}/3'}


def test_objects_are_those_of_the_file_on_the_splits_images(tmp_path):
    """Also those that no expression refers to; crowds, and what is on other images, are left out."""
    content = tiny_refcoco()
    crowd = {**content['annotations'][0], 'id': 15, 'iscrowd': 1}
    content['annotations'] += [crowd, {**content['annotations'][1], 'id': 16, 'category_id': 7}]
    objects = RefCOCODataset(str(write_refcoco(tmp_path, content)), split='train').objects()
    assert {key: [(found.ann_id, found.category_id) for found in of_image] for key, of_image in objects.items()} == {
        '1': [(11, 1)], '2': [(12, 1), (16, 7)], '3': [(13, 1), (14, 1)]}
    assert objects['2'][0].segmentation == content['annotations'][1]['segmentation']
    assert list(RefCOCODataset(str(tmp_path), split='val').objects()) == ['3']
