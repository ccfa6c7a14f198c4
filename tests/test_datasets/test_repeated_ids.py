"""An id that means two things is refused by every reader, also where broken entries are left out."""
import copy
import json
import pickle

import pytest
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco
from helpers.instance_files import tiny_coco, write_coco, write_voc
from helpers.phrasecut_files import tiny_phrasecut, write_phrasecut
from helpers.refclef_files import tiny_refclef
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets import (
    AbsentExpressions,
    BaseReferringDataset,
    CocoPromptDataset,
    GRefCOCODataset,
    JSONLinesDataset,
    PhraseCutDataset,
    RefCLEFDataset,
    RefCOCODataset,
    VOCPromptDataset,
)
from mmrefseg.datasets.instances_file import InstancesFile
from mmrefseg.datasets.preparation import prepare
from mmrefseg.errors import InputError
from mmrefseg.utils.field_checks import key_of

SETS = {
    'refcoco': (tiny_refcoco, write_refcoco, RefCOCODataset),
    'grefcoco': (tiny_grefcoco, write_grefcoco, GRefCOCODataset),
    'refclef': (tiny_refclef, write_refcoco, RefCLEFDataset),
    'coco': (tiny_coco, lambda root, content: write_coco(root, content, 'train2017'), CocoPromptDataset),
}


# What the split train has.
USED = {('refcoco', 'images'): 1, ('refcoco', 'annotations'): 11, ('grefcoco', 'images'): 3,
        ('grefcoco', 'annotations'): 14, ('refclef', 'images'): 1, ('refclef', 'annotations'): '1_1',
        ('coco', 'images'): 7, ('coco', 'annotations'): 1}


def _read(kind, root, broken=None):
    dataset = kind(str(root), split='train', lazy_init=True)
    dataset.broken = broken
    dataset.full_init()
    return [dataset.get_data_info(index) for index in range(len(dataset))]


@pytest.mark.parametrize('name', SETS)
@pytest.mark.parametrize('table, change', [
    ('images', {'file_name': 'other.jpg'}), ('images', {'height': 99}),
    ('annotations', {'segmentation': [[0, 0, 9, 0, 9, 9]]}), ('annotations', {'image_id': 2})])
@pytest.mark.parametrize('broken', [None, []])
def test_in_instances(tmp_path, name, table, change, broken):
    make, write, kind = SETS[name]
    content = make()
    root = write(tmp_path, content)
    used = next(element for element in content[table] if element['id'] == USED[name, table])
    expected = _read(kind, root)
    write(tmp_path, {**content, table: [*content[table], copy.deepcopy(used)]})
    assert _read(kind, root) == expected  # the same twice does no harm
    write(tmp_path, {**content, table: [*content[table], {**used, **change}]})
    with pytest.raises(InputError) as caught:
        _read(kind, root, broken)
    assert 'instances' in str(caught.value)
    assert f'two different {table} have the id {used["id"]!r}; nobody can tell' in str(caught.value)


@pytest.mark.parametrize('name', ['refcoco', 'grefcoco', 'refclef'])
def test_an_annotation_of_another_image(tmp_path, name):
    make, write, kind = SETS[name]
    content = make()
    ref = next(ref for ref in content['refs'] if ref['split'] == 'train')
    ref['image_id'] = 2 if ref['image_id'] != 2 else 3
    root = write(tmp_path, content)
    with pytest.raises(InputError, match=rf'ref_id {ref["ref_id"]} is on image 2, but its annotation .* on image \d'):
        _read(kind, root)
    broken = []
    infos = _read(kind, root, broken)
    assert len(broken) == 1 and 'is on image 2' in broken[0]
    assert ref['ref_id'] not in {info['ref_id'] for info in infos}


def test_in_prepared_data(tmp_path):
    """A model was trained on such data, which prepare.py had called whole."""
    content = tiny_refcoco()
    content['annotations'].append({**content['annotations'][0], 'image_id': 3})
    root = write_refcoco(tmp_path / 'src', content)
    for skip_broken in (False, True):
        with pytest.raises(InputError, match='two different annotations have the id 11'):
            prepare('refshapes', [root], tmp_path / 'out', skip_broken=skip_broken)


REFS = {'refcoco': ('refs(unc).p', pickle.dumps), 'refclef': ('refs(unc).p', pickle.dumps),
        'grefcoco': ('grefs(unc).json', lambda refs: json.dumps(refs).encode())}


@pytest.mark.parametrize('name', REFS)
def test_sentences(tmp_path, name):
    make, write, kind = SETS[name]
    content = make()
    write(tmp_path, {**content, 'refs': []})
    ref = next(ref for ref in content['refs'] if ref['split'] == 'train')
    refs = [copy.deepcopy(ref), copy.deepcopy(ref)]
    refs[1]['ref_id'] = 99
    refs[1]['sentences'] = [{**refs[0]['sentences'][0], 'sent_id': 1000}]
    file, dump = REFS[name]

    def read(broken=None):
        (tmp_path / file).write_bytes(dump(refs))
        return _read(kind, tmp_path, broken)

    number, first = len(read()), refs[0]['sentences'][0]
    refs[0]['sentences'].append(dict(first))
    assert len(read()) == number + 1  # the same twice does no harm
    refs[0]['sentences'][-1] = {**first, 'sent': 'something else'}
    with pytest.raises(InputError, match=f'sent_id {first["sent_id"]} of ref_id {ref["ref_id"]} is that of another'):
        read()
    refs[0]['sentences'].pop()
    refs[1]['sentences'][0]['sent_id'] = first['sent_id']
    with pytest.raises(InputError, match=rf'of ref_id 99 is that of another sentence, too \(of ref_id {ref["ref_id"]}'):
        read()
    broken = []
    assert {info['ref_id'] for info in read(broken)} == {refs[0]['ref_id']} and 'of ref_id 99' in broken[0]


def test_in_phrasecut(tmp_path):
    content = tiny_phrasecut()
    content['images'].append(dict(content['images'][0]))
    root = write_phrasecut(tmp_path, content)
    assert len(_read(PhraseCutDataset, root)) == 3
    content['images'][-1]['width'] = 640
    (root / 'image_data_split.json').write_text(json.dumps(content['images']))
    with pytest.raises(InputError, match='image_data_split.json: two different images have the id 1;'):
        _read(PhraseCutDataset, root, [])
    content['images'].pop()
    content['tasks']['train'][1]['task_id'] = '1__0'
    write_phrasecut(tmp_path, content)
    with pytest.raises(InputError, match="refer_train.json: element 1: task_id '1__0' occurs twice"):
        _read(PhraseCutDataset, root)
    broken = []
    assert [info['text'] for info in _read(PhraseCutDataset, root, broken)] == ['two dogs', 'car'] and len(broken) == 1


def test_in_json_lines(tmp_path):
    root = write_refcoco(tmp_path, tiny_refcoco())
    (root / 'annotations').mkdir()
    lines = [{'image': name, 'image_id': image_id, 'expression': 'a', 'mask': None}
             for name, image_id in (('one.jpg', 5), ('one.jpg', 5), ('two.png', 5))]
    (root / 'annotations/train.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    with pytest.raises(InputError, match='line 3: image_id 5 is that of the image one.jpg, too'):
        _read(JSONLinesDataset, root)
    assert len(_read(JSONLinesDataset, root, [])) == 2


def test_in_voc(tmp_path):
    root = write_voc(tmp_path)
    expected = _read(VOCPromptDataset, root)
    names = root / 'ImageSets/Segmentation/train.txt'
    names.write_text(2 * names.read_text())
    assert len(expected) == 1 and _read(VOCPromptDataset, root) == expected


@pytest.mark.parametrize('key', ['ref_id', 'image_id', 'ann_id'])
def test_numbers_beyond_64_bits(tmp_path, key):
    """Of which a dictionary can be made to take hours."""
    content = tiny_refcoco()
    content['refs'][0][key] = 2**63
    root = write_grefcoco(tmp_path, content)
    with pytest.raises(InputError, match=f"'{key}' must be a whole number of 64 bits"):
        _read(GRefCOCODataset, root)


def test_ids_are_told_apart_by_text(tmp_path):
    """Whole numbers can be chosen so that they all meet in the same places of a dictionary."""
    assert key_of(1) == '1' != key_of('1')
    root = write_refcoco(tmp_path, tiny_refcoco())
    instances = InstancesFile(root / 'instances.json')
    assert {*map(type, (*instances.images, *instances.annotations))} == {str}
    assert instances.image(1, 'x') is instances.images['1'] and instances.annotation(11, 1, 'x')['id'] == 11


def test_what_is_on_images_is_told_apart_by_text(tmp_path):
    content = tiny_refcoco()
    root = write_refcoco(tmp_path, content)
    (root / 'instances.json').write_text(json.dumps(dict(content, categories=[dict(id=1, name='cup')])))
    for found in (RefCOCODataset(str(root)).objects(), BaseReferringDataset.objects(RefCOCODataset(str(root)))):
        assert list(found) == ['1', '2', '3'] and [one.ann_id for one in found['1']] == [11]
    names, on_image = RefCOCODataset(str(root)).object_categories()
    assert names == {'1': 'cup'} and on_image == {'1': {'1'}, '2': {'1'}, '3': {'1'}}
    absent = AbsentExpressions(RefCOCODataset(str(root)))
    assert absent._there.keys() == {'1', '2', '3'} and {*map(type, set().union(*absent._there.values()))} == {str}


@pytest.mark.parametrize('other, fits', [('cup', True), ('dog', False)])
def test_a_category_id_with_two_names(tmp_path, other, fits):
    root = write_refcoco(tmp_path, tiny_refcoco())
    content = dict(tiny_refcoco(), categories=[dict(id=1, name='cup'), dict(id=1, name=other)])
    (root / 'instances.json').write_text(json.dumps(content))
    if fits:
        assert RefCOCODataset(str(root)).object_categories()[0] == {'1': 'cup'}
    else:
        with pytest.raises(InputError, match=r"categories\[1\]: id 1 is 'cup' and 'dog'"):
            RefCOCODataset(str(root)).object_categories()


def test_a_list_of_annotations_that_a_pickle_repeats(tmp_path):
    """It is no id, and not gone through: in 400 kB there is room for a thousand million."""
    content = tiny_refcoco()
    ids = list(range(100_000))
    root = write_refcoco(tmp_path, content)
    refs = [{**content['refs'][0], 'ref_id': index, 'ann_id': ids} for index in range(1000)]
    (root / 'refs(unc).p').write_bytes(pickle.dumps(refs, protocol=2))
    with pytest.raises(InputError, match="ref_id 0: 'ann_id' must be of type int, got list"):
        _read(RefCOCODataset, root)


@pytest.mark.parametrize('length, fits', [(4096, True), (4097, False)])
def test_an_endless_expression(tmp_path, length, fits):
    text = '&' + 'amp;' * 1024
    content = tiny_refcoco()
    content['refs'][0]['sentences'][0]['sent'] = (text * 2)[:length]
    root = write_refcoco(tmp_path, content)
    (root / 'annotations').mkdir()
    (root / 'annotations/train.jsonl').write_text(json.dumps(
        {'image': 'one.jpg', 'expression': (text * 2)[:length], 'mask': None}))
    for kind in (RefCOCODataset, JSONLinesDataset):
        if fits:
            assert len(_read(kind, root)[0]['text']) == length
        else:
            with pytest.raises(InputError, match='the expression has 4097 characters, more than 4096. Shorten it'):
                _read(kind, root)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda refs: refs[1].update(ref_id=0), 'ref_id 0 occurs twice'),
    (lambda refs: refs[0]['sentences'][0].update(sent='\ud800'), 'sent_id 0: the expression has half a character'),
])
def test_refs_that_occur_twice_and_broken_expressions(tmp_path, change, message):
    content = tiny_refcoco()
    change(content['refs'])
    refs = pickle.dumps(content.pop('refs'), protocol=2)
    write_refcoco(tmp_path, {**content, 'refs': []})
    (tmp_path / 'refs(unc).p').write_bytes(refs)
    with pytest.raises(InputError, match=message):
        RefCOCODataset(str(tmp_path))
