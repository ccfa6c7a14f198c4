"""What was met in exports that the tools' own programs wrote: what is told, and what is understood."""
import json

import numpy as np
import pytest
from helpers.annotation_files import SQUARE, coco, inside, masks, run, save_image, save_json
from PIL import Image

from mmrefseg.datasets.importing import Options
from mmrefseg.errors import InputError, MissingInputError


@pytest.fixture
def source(tmp_path):
    save_image(tmp_path / 'src/a.jpg')
    return tmp_path / 'src'


def test_words_of_the_class_alone_are_told(source):
    """Most of a set may say the same, of which nothing is learnt."""
    save_json(source / 'x.json', coco([{'segmentation': [SQUARE], 'attributes': {'expression': words}}
                                       for words in ('', ' ', 'the cup')]))
    made, _ = run('coco', source)
    assert [count for what, count in made.notes.items() if 'the name of their class' in what] == [2]
    (source.parent / 'out').rename(source.parent / 'before')
    made, lines = run('coco', source, options=Options(expression='attributes.expression'))
    assert len(lines) == 1 and not any('the name of their class' in what for what in made.notes)


def test_a_misspelt_field_is_told_what_there_is(source):
    save_json(source / 'x.json', coco([{'segmentation': [SQUARE], 'attributes': {'expression': 'the cup'}}]))
    with pytest.raises(InputError, match=r'1 objects have no expression.*attributes\.expression') as error:
        run('coco', source, options=Options(expression='attributes.expresion'))
    assert 'one of these fields: category, attributes.expression' in str(error.value)


def test_images_that_are_all_missing_are_told_in_one_message(source):
    """As where a tool exports annotations alone."""
    content = coco([{'segmentation': [SQUARE], 'image_id': index} for index in range(30)],
                   [{'id': index, 'file_name': f'/data/upload/1/{index}.jpg'} for index in range(30)])
    save_json(source / 'x.json', content)
    for skip_broken in (False, True):
        with pytest.raises(InputError, match=r"names 30 images, such as '/data/upload/1/0.jpg', but none") as error:
            run('coco', source, skip_broken=skip_broken)
        assert len(str(error.value).splitlines()) == 1


def test_numbers_that_are_none_are_shown(source):
    save_json(source / 'x.json', coco([{'segmentation': [[*SQUARE[:-1], 'nan']]}]))
    with pytest.raises(InputError, match='segmentation must be a finite number, got nan'):
        run('coco', source)


def test_parts_of_a_cvat_group_have_one_expression(source):
    """It is written at one of them; the other's empty attribute doesn't make it an object called by its class."""
    polygon = '<polygon label="cup" group_id="{}" points="{}"><attribute name="expression">{}</attribute></polygon>'
    parts = ((1, '2,1;6,1;6,5;2,5', 'the red cup'), (1, '10,1;14,1;14,5;10,5', ''), (2, '0,6;4,6;4,9', 'left'),
             (2, '9,6;14,6;14,9', 'right'))
    (source / 'annotations.xml').write_text('<annotations><image id="0" name="a.jpg" width="20" height="10">'
                                            + ''.join(polygon.format(*part) for part in parts)
                                            + '</image></annotations>')
    _, lines = run('cvat', source)
    assert [line['expressions'] for line in lines] == [['the red cup'], ['left'], ['right']]
    assert np.array_equal(masks(lines)[0], inside() | inside(columns=(10, 14)))


def studio_task(name='/data/upload/1/0a1b2c3d-a.jpg', field='image', annotations=1):
    result = {'id': 'r', 'type': 'polygonlabels', 'original_width': 20, 'original_height': 10,
              'value': {'points': [[10, 10], [30, 10], [30, 50], [10, 50]], 'polygonlabels': ['cup']}}
    return {'id': 1, 'data': {field: name}, 'annotations': [{'result': [result]}] * annotations}


def test_label_studios_signed_addresses(source):
    save_json(source / 'x.json', [studio_task('https://bucket.example.com/pets/a.jpg?X-Signature=1', 'photo')])
    _, lines = run('label-studio', source)
    assert [line['image'] for line in lines] == ['a.jpg']


def test_label_studios_tasks_of_several_annotators_and_of_none(source):
    save_json(source / 'x.json', [studio_task(annotations=2), {**studio_task(annotations=0), 'predictions': [{}]}])
    made, _ = run('label-studio', source)
    assert made.notes['tasks have several annotations; all of them are taken'] == 1
    assert made.notes['tasks have no annotations; they are skipped, and so are predictions'] == 1


def test_the_folder_of_outlines_that_label_studio_writes(source):
    (source / 'labels').mkdir()
    (source / 'images').mkdir()
    (source / 'a.jpg').rename(source / 'images/0a1b2c3d-a.jpg')
    (source / 'labels/0a1b2c3d-a.txt').write_text('1 0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5')
    (source / 'classes.txt').write_text('pen\nred cup\n')
    (source / 'notes.json').write_text('{"categories": []}')
    _, lines = run('yolo', source)
    assert [line['expressions'] for line in lines] == [['red cup']] and np.array_equal(masks(lines)[0], inside())


def test_columns_of_hugging_faces_image_folders(source):
    (source / 'masks').mkdir()
    Image.fromarray(255 * inside()).save(source / 'masks/a.png')
    (source / 'metadata.csv').write_text('image_file_name,mask_file_name,text\na.jpg,masks/a.png,the cup\n')
    _, lines = run('table', source)
    assert [line['expressions'] for line in lines] == [['the cup']] and np.array_equal(masks(lines)[0], inside())


@pytest.mark.parametrize(('kind', 'name', 'content', 'message'), [
    ('table', 'x.csv', 'image,mask,expression\n'.encode('utf-16'), 'is text in UTF-16, which must be saved'),
    ('coco', 'x.json', b'\xff\xfe{\0}\0', 'x.json is text in UTF-16'),
    ('table', 'train/data-00000-of-00001.arrow', b'\xff\xff\xff\xff\x10\0', '0001.arrow is an Arrow file'),
    ('label-studio', 'x.json', b'[{"image": "a", "annotation_id": 1, "annotator": 1}]', 'x.json is JSON-MIN of Label'),
    ('label-studio', 'x.csv', b'image,mask,expression\n', 'x.csv is a table'),
    ('yolo', 'x.json', json.dumps(coco([])).encode(), 'no data.yaml or classes.txt.*x.json is COCO annotations')])
def test_a_folder_of_another_kind_says_what_it_holds(source, kind, name, content, message):
    (source / name).parent.mkdir(exist_ok=True)
    (source / name).write_bytes(content)
    with pytest.raises((InputError, MissingInputError), match=message):
        run(kind, source)


@pytest.mark.parametrize('keep_apart', [False, True])
def test_rows_of_one_mask_are_one_object(source, keep_apart):
    """Otherwise its expressions would seem to mean several objects, or to be ambiguous."""
    (source / 'masks').mkdir()
    Image.fromarray(255 * inside()).save(source / 'masks/a.png')
    (source / 'x.csv').write_text('image,mask,expression\na.jpg,a.png,the cup\na.jpg,a.png,the red cup\n'
                                  'a.jpg,a.png,the cup\na.jpg,none,a dog\na.jpg,none,a cat\n')
    made, lines = run('table', source, keep_apart=keep_apart)
    assert [line['expressions'] for line in lines] == [['the cup', 'the red cup'], ['a dog'], ['a cat']]
    assert np.array_equal(masks(lines)[0], inside()) and not made.notes
