"""What annotation tools write, with their oddities, as JSON Lines."""
import json
import pickle

import numpy as np
import pytest
from helpers.annotation_files import SQUARE, brush, coco, inside, masks, png_of, run, save_image, save_json
from PIL import Image

from mmrefseg.datasets.importing import Options, import_annotations, parse_shares, recognise
from mmrefseg.datasets.importing.label_studio import decode_brush, image_name
from mmrefseg.datasets.importing.split_assignment import assign
from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.structures.mask_formats import mask_to_rle


@pytest.fixture
def source(tmp_path):
    save_image(tmp_path / 'src/a.jpg')
    return tmp_path / 'src'


@pytest.mark.parametrize('segmentation', [
    [SQUARE], SQUARE, [[str(number) for number in SQUARE]], [SQUARE, []],
    {'size': [10, 20], 'counts': [21, 4, 6, 4, 6, 4, 6, 4, 145]},
    {'size': ['10', '20'], 'counts': ['21', '4', '6', '4', '6', '4', '6', '4', '145']},
    {'size': [10, 20], 'counts': 'e04644O1O1O1Oa4'},
])
def test_coco_masks_of_every_writing(source, segmentation):
    if isinstance(segmentation, dict) and isinstance(segmentation['counts'], str):
        from mmrefseg.structures.mask_formats import mask_to_rle
        segmentation = mask_to_rle(inside())
    save_json(source / 'x.json', coco([{'segmentation': segmentation, 'attributes': {'expression': 'the  cup '}}]),
              bom=True)
    made, lines = run('coco', source)
    assert lines[0]['expressions'] == ['the cup'] and lines[0]['image'] == 'a.jpg'
    assert np.array_equal(masks(lines)[0], inside())
    assert made.splits == {'train': {'images': 1, 'lines': 1, 'expressions': 1}}


def test_coco_ids_as_text_and_backslashes_in_names(tmp_path):
    save_image(tmp_path / 'src/pets/b/a.jpg')
    save_image(tmp_path / 'src/pets/c/a.jpg', value=9)
    images = [{'id': '1', 'file_name': 'D:\\data\\c\\a.jpg', 'height': '10', 'width': '20'}]
    save_json(tmp_path / 'src/x.json', coco([{'segmentation': [SQUARE]}], images))
    _, lines = run('coco', tmp_path / 'src')
    assert [(line['image'], line['expressions']) for line in lines] == [('pets/c/a.jpg', ['cup'])]


@pytest.mark.parametrize('segmentation', [[], [[]], None, [[1, 2, 3, 4]]])
def test_boxes_are_skipped_and_counted_or_taken(source, segmentation):
    box = {'segmentation': segmentation, 'bbox': ['2', 1, 4, 4]}
    save_json(source / 'x.json', coco([box, {'segmentation': [SQUARE], 'caption': 'b'}]))
    made, lines = run('coco', source)
    assert [line['expressions'] for line in lines] == [['b']]
    assert [count for what, count in made.notes.items() if 'box alone' in what] == [1]
    (source.parent / 'out').rename(source.parent / 'before')
    _, lines = run('coco', source, options=Options(boxes=True))
    assert np.array_equal(masks(lines)[0], inside())


def test_objects_of_the_same_words_are_united_or_kept_apart(source):
    other = [10, 1, 14, 1, 14, 5, 10, 5]
    save_json(source / 'x.json', coco([{'segmentation': [SQUARE]}, {'segmentation': [other]}]))
    _, lines = run('coco', source)
    assert np.array_equal(masks(lines)[0], inside() | inside(columns=(10, 14))) and len(lines) == 1
    (source.parent / 'out').rename(source.parent / 'before')
    _, lines = run('coco', source, keep_apart=True)
    assert [int(mask.sum()) for mask in masks(lines)] == [16, 16]


def test_coordinates_in_shares_are_refused_or_scaled(source):
    shares = [number / side for number, side in zip(SQUARE, [20, 10] * 4, strict=True)]
    save_json(source / 'x.json', coco([{'segmentation': [shares]}]))
    with pytest.raises(InputError, match='shares of the image.*--in-shares'):
        run('coco', source)
    assert [path.name for path in source.parent.iterdir()] == ['src']
    _, lines = run('coco', source, options=Options(in_shares=True))
    assert np.array_equal(masks(lines)[0], inside())


def test_two_images_of_one_id_are_refused(source):
    images = [{'id': 1, 'file_name': name} for name in ('a.jpg', 'b.jpg')]
    save_json(source / 'x.json', coco([], images))
    with pytest.raises(InputError, match=r'images\[1\]: the id 1 is that of a.jpg, too'):
        run('coco', source)


def test_broken_elements_are_refused_together_or_left_out(source):
    save_json(source / 'x.json', coco([{'segmentation': [['x'] * 8]}, {'segmentation': 'no'}, {'image_id': 7},
                                       {'segmentation': [SQUARE]}]))
    with pytest.raises(InputError, match='3 elements are broken; nothing was written'):
        run('coco', source)
    assert [path.name for path in source.parent.iterdir()] == ['src']
    made, lines = run('coco', source, skip_broken=True)
    assert (len(made.broken), len(lines)) == (3, 1)


@pytest.mark.parametrize(('annotated', 'stored', 'expected'), [
    ((10, 20), False, True), ((20, 10), False, False), (None, False, False), (None, True, True)])
def test_turned_photos_are_told_by_size(tmp_path, annotated, stored, expected):
    save_image(tmp_path / 'src/a.jpg', orientation=6)
    image = {'id': 1, 'file_name': 'a.jpg'}
    if annotated:
        image.update(zip(('height', 'width'), annotated, strict=True))
    save_json(tmp_path / 'src/x.json', coco([{'segmentation': [SQUARE]}], [image]))
    made, lines = run('coco', tmp_path / 'src', stored=stored)
    assert lines[0].get('ignore_orientation', False) is expected
    assert any('sizes do not tell' in what for what in made.notes) == (annotated is None)


def test_a_picture_of_another_size_is_broken(source):
    save_json(source / 'x.json', coco([{'segmentation': [SQUARE]}],
                                      [{'id': 1, 'file_name': 'a.jpg', 'height': 30, 'width': 60}]))
    with pytest.raises(InputError, match=r'made on a picture of \(30, 60\)'):
        run('coco', source)


CVAT = '''<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="a.jpg" width="20" height="10">
<polygon label="cup" points="2,1;6,1;6,5;2,5"><attribute name="expression">left &amp; red</attribute></polygon>
<mask label="cup" rle="1, 2, 3" left="2" top="1" width="3" height="2"></mask>
<box label="box" xtl="2" ytl="1" xbr="6" ybr="5"/>
<points label="dot" points="1,1"/>
</image></annotations>'''


def test_cvat(source):
    (source / 'annotations.xml').write_text(CVAT)
    made, lines = run('cvat', source)
    assert [line['expressions'] for line in lines] == [['left & red'], ['cup']]
    assert np.array_equal(masks(lines)[0], inside())
    assert np.argwhere(masks(lines)[1]).tolist() == [[1, 3], [1, 4]]
    assert sum(made.notes.values()) == 3 and any('name of their class' in what for what in made.notes)


@pytest.mark.parametrize(('content', 'message'), [
    ('<!DOCTYPE a [<!ENTITY b "c">]>' + CVAT[39:], 'DOCTYPE'),
    (CVAT[:300], 'not a whole XML'),
    (CVAT.replace('<version>', '<a>' * 20), 'nested'),
    (CVAT.replace('1, 2, 3', '1, 2, 9'), 'do not fill its box'),
    (CVAT.replace('<image ', '<track/><image '), 'CVAT for images'),
])
def test_hostile_cvat(source, content, message):
    (source / 'annotations.xml').write_text(content)
    with pytest.raises(InputError, match=message):
        run('cvat', source)


def test_labelme(source):
    points = [[2, 1], [6, 1], [6, 5], [2, 5]]
    save_json(source / 'a.json', {
        'imagePath': '..\\photos\\a.jpg', 'imageHeight': 10, 'imageWidth': 20, 'imageData': None, 'shapes': [
            {'label': 'cup', 'description': 'the red cup', 'points': points, 'group_id': 1, 'shape_type': 'polygon'},
            {'label': 'cup', 'description': 'the red cup', 'points': [[10, 1], [14, 1], [14, 5]], 'group_id': 1},
            {'label': 'pen', 'description': '', 'points': [[0, 0], [3, 3]], 'shape_type': 'rectangle'},
            {'label': 'line', 'points': [[0, 0], [3, 3]], 'shape_type': 'line'}]})
    made, lines = run('labelme', source)
    assert [line['expressions'] for line in lines] == [['the red cup']]
    assert len(lines[0]['mask']) == 2 and lines[0]['mask'][0] == SQUARE
    assert sum(made.notes.values()) == 2


@pytest.mark.parametrize('values', [1, 255, True])
def test_labelmes_masks(source, values):
    box = inside()[1:5, 2:6]
    box[0, 0] = 0
    common = {'label': 'cup', 'group_id': 1, 'shape_type': 'mask'}
    save_json(source / 'a.json', {'imagePath': 'a.jpg', 'imageHeight': 10, 'imageWidth': 20, 'shapes': [
        {**common, 'points': [[2, 1], [5, 4]], 'mask': png_of(box.astype(bool) if values is True else values * box)},
        {**common, 'points': [[10, 1], [14, 1], [14, 5], [10, 5]], 'shape_type': 'polygon'}]})
    _, lines = run('labelme', source)
    expected = inside() | inside(columns=(10, 14))
    expected[1, 2] = 0
    assert np.array_equal(masks(lines)[0], expected)


@pytest.mark.parametrize(('change', 'message'), [
    ({'mask': None}, 'mask must be a PNG in base64, got an object of type NoneType'),
    ({'mask': 'a%'}, 'mask must be a PNG in base64'),
    ({'mask': 'aaaa'}, 'mask: .*'),
    ({'mask': png_of(inside())}, r'it is \(10, 20\) \(H, W\), but its image \(4, 4\)'),
    ({'points': [[17, 1], [20, 4]]}, 'does not lie inside of the image'),
    ({'points': [[5, 4], [2, 1]]}, 'does not lie inside of the image'),
])
def test_hostile_masks_of_labelme(source, change, message):
    shape = {'label': 'cup', 'shape_type': 'mask', 'points': [[2, 1], [5, 4]], 'mask': png_of(inside()[1:5, 2:6])}
    save_json(source / 'a.json', {'imagePath': 'a.jpg', 'imageHeight': 10, 'imageWidth': 20,
                                  'shapes': [{**shape, **change}]})
    with pytest.raises(InputError, match=rf'shapes\[0\].*{message}'):
        run('labelme', source)


def test_label_studio(source):
    common = {'original_width': 20, 'original_height': 10, 'image_rotation': 0}
    results = [
        {'id': 'r1', 'type': 'polygonlabels', **common,
         'value': {'points': [[10, 10], [30, 10], [30, 50], [10, 50]], 'polygonlabels': ['cup']}},
        {'id': 'r1', 'type': 'textarea', 'from_name': 'say', 'value': {'text': ['the red cup', 'red one']}},
        {'id': 'r2', 'type': 'brushlabels', **common,
         'value': {'format': 'rle', 'rle': brush(inside((0, 3))), 'brushlabels': ['pen']}}]
    save_json(source / 'x.json', [{'id': 1, 'data': {'image': '/data/upload/1/0a1b2c3d-a.jpg'},
                                   'annotations': [{'result': results}]}])
    _, lines = run('label-studio', source)
    assert [line['expressions'] for line in lines] == [['the red cup', 'red one'], ['pen']]
    assert np.array_equal(masks(lines)[0], inside())
    assert np.array_equal(masks(lines)[1], inside((0, 3)))


def test_hostile_brush_strokes():
    code = brush(inside())
    for wrong, message in ((code[:20], 'cut off'), ([1, 2], 'cut off'), ([0] * 9, 'holds 0 values'), (['a'], 'bytes')):
        with pytest.raises(InputError, match=message):
            decode_brush(wrong, 10, 20, 'x')


def test_names_in_label_studio():
    assert image_name('/data/local-files/?d=pets/my%20cat.jpg') == 'pets/my cat.jpg'
    assert image_name('s3://bucket/pets/cat.jpg?x=1') == 'pets/cat.jpg'


def test_a_task_of_several_images(source):
    """That of another field would get the masks."""
    save_image(source / 'thumb.jpg')
    task = {'id': 1, 'data': {'preview': '/t/thumb.jpg', 'image': '/t/a.jpg'}, 'annotations': [{'result': [{
        'id': 'r', 'type': 'polygonlabels', 'original_width': 20, 'original_height': 10, 'value': {
            'points': [[10, 10], [30, 10], [30, 50], [10, 50]], 'polygonlabels': ['cup']}}]}]}
    save_json(source / 'x.json', [task])
    _, lines = run('label-studio', source)
    assert [line['image'] for line in lines] == ['a.jpg']
    task['data'] = {'preview': '/t/thumb.jpg', 'photo': '/t/a.jpg'}
    save_json(source / 'x.json', [task])
    with pytest.raises(InputError, match='name several images'):
        import_annotations('label-studio', source, source.parent / 'other')


@pytest.mark.parametrize(('files', 'message'), [
    ({'data.yaml': 'names: {0: cup, 0: dog}'}, "the key '0' twice"),
    ({'data.yaml': 'names: {0: cup, "0": dog}'}, "the key '0' twice|a class stands twice"),
    ({'data.yaml': 'names: [cup]\nnames: [dog]'}, "the key 'names' twice"),
    ({'a.yaml': 'names: [cup]', 'b.yml': 'names: [dog]'}, 'nobody can tell which names the classes'),
    ({'data.yml': 'names: [cup]', 'data.yaml': 'names: [dog]'}, 'nobody can tell which names the classes')])
def test_classes_that_nobody_can_tell(source, files, message):
    (source / 'labels').mkdir()
    (source / 'images').mkdir()
    (source / 'a.jpg').rename(source / 'images/a.jpg')
    (source / 'labels/a.txt').write_text('0 0.1 0.1 0.5 0.1 0.5 0.6\n')
    for name, content in files.items():
        (source / name).write_text(content)
    with pytest.raises(InputError, match=message):
        run('yolo', source)


def test_data_yaml_goes_before_others(source):
    test_classes_that_nobody_can_tell(source, {'data.yaml': 'names: [cup', 'args.yaml': 'lr: 1'}, 'is no YAML')
    (source / 'data.yaml').write_text('names: [cup]')
    _, lines = run('yolo', source)
    assert lines[0]['expressions'] == ['cup']


def test_names_that_label_studio_cleans(tmp_path):
    save_image(tmp_path / 'src/day 1/my cup (2).jpg')
    result = {'id': 'r', 'type': 'polygonlabels', 'original_width': 20, 'original_height': 10,
              'value': {'points': [[10, 10], [30, 10], [30, 50]], 'polygonlabels': ['cup']}}
    save_json(tmp_path / 'src/x.json', [{'data': {'image': '/data/upload/1/0a1b2c3d-my_cup_2.jpg'},
                                         'annotations': [{'result': [result]}]}])
    _, lines = run('label-studio', tmp_path / 'src')
    assert lines[0]['image'] == 'day 1/my cup (2).jpg'


def test_a_missing_image_is_told_once(source):
    save_json(source / 'x.json', coco([{'segmentation': [SQUARE]}] * 3 + [{'segmentation': [SQUARE], 'image_id': 2}],
                                      [{'id': 1, 'file_name': 'b.jpg'}, {'id': 2, 'file_name': 'a.jpg'}]))
    with pytest.raises(InputError, match='1 elements are broken') as error:
        run('coco', source)
    assert str(error.value).count('b.jpg') == 1
    made, lines = run('coco', source, skip_broken=True)
    assert len(lines) == 1 and made.notes['further objects are on images that are missing or broken; they are '
                                          'skipped'] == 2


def test_an_archive_is_told_how_to_unpack(tmp_path):
    (tmp_path / 'task 1.zip').write_bytes(b'PK\3\4')
    with pytest.raises(InputError, match=r"is a zip archive, not COCO annotations\. Unpack it.*unzip '.*1\.zip' -d"):
        import_annotations('coco', tmp_path / 'task 1.zip', tmp_path / 'out')


def test_yolo_with_its_splits(tmp_path):
    for split in ('train', 'valid'):
        save_image(tmp_path / f'src/{split}/images/a.jpg')
        folder = tmp_path / f'src/{split}/labels'
        folder.mkdir()
        (folder / 'a.txt').write_text('1 0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5\n0 0.5 0.5 0.1 0.1\n')
    (tmp_path / 'src/data.yaml').write_text('names: [cup, red pen]\n')
    made, lines = run('yolo', tmp_path / 'src')
    assert list(made.splits) == ['train', 'val']
    assert [(line['image'], line['expressions']) for line in lines] == [
        ('train/images/a.jpg', ['red pen']), ('valid/images/a.jpg', ['red pen'])]
    assert np.array_equal(masks(lines)[0], inside())


def test_categories_of_one_id(source):
    """The last would be said of all."""
    content = coco([{'segmentation': [SQUARE]}])
    content['categories'].append({'id': 3, 'name': 'dog'})
    save_json(source / 'x.json', content)
    with pytest.raises(InputError, match="category id 3 is that of 'cup' and of 'dog'"):
        run('coco', source)


@pytest.mark.parametrize(('text', 'message'), [
    ('image,mask,expression\na.jpg,none,the cup, red\n', r'row 2: it has more cells than the table has columns'),
    ('image,mask,Mask,expression\na.jpg,none,b.png,x\n', "the column 'mask' twice"),
    ('image,mask,expression,expression \na.jpg,none,x,y\n', "the column 'expression' twice")])
def test_cells_that_would_be_lost(source, text, message):
    (source / 'x.csv').write_text(text)
    with pytest.raises(InputError, match=message):
        run('table', source)


def test_columns_without_a_name_and_empty_cells_behind_the_last(source):
    """As pandas writes its index, and spreadsheets end their lines."""
    (source / 'x.csv').write_text(',,image,mask,expression\n0,1,a.jpg,none,the cup,,\n')
    _, lines = run('table', source)
    assert [line['expressions'] for line in lines] == [['the cup']]


def test_table_of_mask_files(source):
    (source / 'masks').mkdir()
    palette = Image.fromarray(inside(), 'P')
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.save(source / 'masks/a.png')
    rgba = np.zeros((10, 20, 4), np.uint8)
    rgba[..., 3] = 255 * inside()
    Image.fromarray(rgba).save(source / 'masks/b.png')
    (source / 'x.csv').write_text('Image;Mask;Expression\na.jpg;masks\\a.png;the cup, red\na.jpg;b.png;pen\n'
                                  f'a.jpg;{json.dumps([SQUARE])};both\na.jpg;none;a giraffe\na.jpg;;forgotten\n',
                                  encoding='utf-8-sig')
    made, lines = run('table', source)
    assert [line['expressions'] for line in lines] == [['the cup, red', 'pen'], ['both'], ['a giraffe']]
    assert all(np.array_equal(mask, inside()) for mask in masks(lines)[:2])
    assert lines[2]['mask'] is None and sum(made.notes.values()) == 1


def test_parquet_that_holds_images(source):
    pyarrow = pytest.importorskip('pyarrow')
    parquet = pytest.importorskip('pyarrow.parquet')
    image = {'bytes': (source / 'a.jpg').read_bytes(), 'path': None}
    table = pyarrow.Table.from_pylist([{'image': image, 'segmentation': [SQUARE], 'sentences': ['cup', 'mug']}])
    parquet.write_table(table, source / 'train-00000.parquet')
    made, lines = run('table', source)
    assert lines[0]['expressions'] == ['cup', 'mug'] and np.array_equal(masks(lines)[0], inside())
    assert list(made.splits) == ['train'] and lines[0]['image'].startswith('embedded/')


def parts_of(mask):
    rle = mask_to_rle(mask)
    return {'counts': rle['counts'], 'size': list(rle['size'])}


@pytest.mark.parametrize('row', [
    {'question': 'What is it?', 'answer': ['cup', 'mug'], 'segmentation': SQUARE, 'bbox': [2.0, 1.0, 4.0, 4.0]},
    {'file_name': 'COCO_1.jpg', 'samples': [{'id': 1, 'category': 'cup', 'sentences': ['cup', 'mug'],
                                             'bbox': [2.0, 1.0, 4.0, 4.0], 'mask': parts_of(inside())}]}])
def test_refcoco_as_the_hub_has_it(source, row):
    """One row per referent, as lmms-lab's, and one per image, as RefCOCO-M's."""
    pyarrow, parquet = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
    image = {'bytes': (source / 'a.jpg').read_bytes(), 'path': 'COCO_1.jpg'}
    parquet.write_table(pyarrow.Table.from_pylist([{'image': image, **row}]), source / 'val-00000-of-00001.parquet')
    made, lines = run('table', source)
    assert [line['expressions'] for line in lines] == [['cup', 'mug']] and list(made.splits) == ['val']
    assert np.array_equal(masks(lines)[0], inside())


def test_refcoco_with_several_objects_and_none(source):
    save_json(source / 'instances.json', coco([{'segmentation': [SQUARE]},
                                               {'segmentation': [[10, 1, 14, 1, 14, 5, 10, 5]]}]))
    refs = [{'ref_id': index, 'image_id': 1, 'ann_id': ids, 'split': 'testA', 'sentences': [{'sent': words}]}
            for index, (ids, words) in enumerate([(0, 'cup'), ([0, 1], 'both'), ([-1], 'a dog')])]
    (source / 'refs(unc).p').write_bytes(pickle.dumps(refs, 2))
    made, lines = run('refcoco', source)
    assert [int(mask.sum()) for mask in masks(lines)] == [16, 32, 0] and list(made.splits) == ['testA']


@pytest.mark.parametrize(('name', 'content', 'kind'), [
    ('a.json', json.dumps(coco([])), 'coco'), ('b.xml', CVAT, 'cvat'), ('c.html', '<html>no</html>', 'a web page'),
    ('d.json', '[{"data": {}, "annotations": []}]', 'label-studio'), ('e.json', '{"a": 1}', 'JSON of an unknown'),
    ('f.jsonl', '{"image": "a", "expression": "b", "mask": null}\n', 'jsonl'), ('g.csv', 'image,mask\n', 'table'),
    ('h.txt', '0 .1 .2 .3 .4 .5 .6', 'yolo'), ('i', '', 'an empty file'), ('j.zip', 'PK\3\4', 'a zip archive'),
    ('k.json', '{"shapes": [], "imagePath": ""}', 'labelme'),
    ('l.json', json.dumps(coco([]), indent=2)[:60], 'coco')])
def test_files_are_known_by_their_content(tmp_path, name, content, kind):
    (tmp_path / name).write_text(content)
    assert recognise(tmp_path / name).startswith(kind)


def test_another_kind_of_file_is_named_with_the_right_command(source):
    (source / 'x.xml').write_text(CVAT)
    with pytest.raises(InputError, match=r'x.xml is CVAT XML, not COCO.*mmrefseg import cvat'):
        import_annotations('coco', source / 'x.xml', source.parent / 'out')
    with pytest.raises(InputError, match=r'holds no file that is COCO'):
        run('coco', source)
    with pytest.raises(MissingInputError, match='is missing'):
        run('coco', source.parent / 'none')


def test_splits_are_by_image_and_group(tmp_path):
    images = []
    for index in range(20):
        save_image(tmp_path / f'src/v{index // 2}_{index}.jpg', value=index)
        images.append({'id': index, 'file_name': f'v{index // 2}_{index}.jpg'})
    content = coco([{'image_id': index, 'segmentation': [SQUARE], 'caption': words} for index in range(20)
                    for words in ('a', 'b')], images)
    save_json(tmp_path / 'src/x.json', content)
    made, _ = run('coco', tmp_path / 'src', group='^(v[0-9]+)_')
    assert {split: numbers['images'] for split, numbers in made.splits.items()} == {'train': 16, 'val': 2, 'test': 2}
    groups = {split: {json.loads(line)['image'].split('_')[0] for line in
                      (tmp_path / f'out/annotations/{split}.jsonl').read_text().splitlines()} for split in made.splits}
    assert sum(map(len, groups.values())) == len(set().union(*groups.values())) == 10


def test_seeds_make_splits():
    groups = dict.fromkeys('abcdefghij', 1)
    shares = parse_shares(['train=0.8', 'val=0.2'])
    assert assign(groups, shares, 0) == assign(groups, shares, 0) != assign(groups, shares, 1)
    for wrong in (['train=1', 'val=1'], ['train'], ['../x=1']):
        with pytest.raises(InputError):
            parse_shares(wrong)
