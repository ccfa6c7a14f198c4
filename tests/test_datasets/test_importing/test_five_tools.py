"""One photo annotated in five tools, as each of them exports it."""
import itertools

import numpy as np
import pytest
from helpers.annotation_files import brush, coco, inside, masks, png_of, run, save_image, save_json
from PIL import Image

OUTLINES = {'the left cup': inside(), 'right cup': inside(columns=(12, 16))}
"""What is said of the one photo that five tools were given, and the masks."""


def corners(mask):
    """The outline of a box, as [x, y] pairs."""
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = (int(value) for value in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def write_cvat(folder):
    """COCO 1.0 with images: polygons, and brush strokes as crowds; a box without outline; names with folders."""
    save_image(folder / 'images/default/day 1/my cup (2).jpg')
    (first, left), (second, right) = OUTLINES.items()
    flat = right.T.ravel().tolist()
    counts = [len(list(run)) for _, run in itertools.groupby(flat)]
    elements = [{'segmentation': [np.ravel(corners(left)).tolist()], 'iscrowd': 0, 'attributes': {'expression': first}},
                {'segmentation': {'counts': counts, 'size': [10, 20]}, 'iscrowd': 1,
                 'attributes': {'occluded': False, 'expression': second}},
                {'segmentation': [], 'bbox': [1.0, 1.0, 3.0, 3.0], 'attributes': {'rotation': 0.0}}]
    image = {'id': 1, 'file_name': 'day 1/my cup (2).jpg', 'height': 10, 'width': 20, 'license': 0, 'coco_url': ''}
    save_json(folder / 'annotations/instances_default.json', coco(elements, [image]))


def write_labelme(folder):
    """On Windows: a polygon, and a mask of the AI tool; a name that leads out of the folder."""
    save_image(folder / 'my cup (2).jpg')
    (first, left), (second, right) = OUTLINES.items()
    box = corners(right)
    common = {'label': 'cup', 'group_id': None, 'flags': {}, 'mask': None}
    save_json(folder / 'my cup (2).json', {
        'version': '5.5.0', 'imagePath': '..\\cups\\my cup (2).jpg', 'imageData': 'AAAA', 'imageHeight': 10,
        'imageWidth': 20, 'shapes': [
            {**common, 'description': first, 'shape_type': 'polygon', 'points': corners(left)},
            {**common, 'description': second, 'shape_type': 'mask', 'mask': png_of(right[1:5, 12:16]),
             'points': [box[0], [box[2][0] - 1, box[2][1] - 1]]}]})


def write_label_studio(folder):
    """JSON of uploads, whose names it cleans: percent, brush strokes, a text area of each region, a skipped task."""
    save_image(folder / 'photos/my cup (2).jpg')
    (first, left), (second, right) = OUTLINES.items()
    common = {'original_width': 20, 'original_height': 10, 'image_rotation': 0, 'to_name': 'image'}
    polygon = {'points': [[5 * x, 10 * y] for x, y in corners(left)], 'closed': True}
    strokes = {'format': 'rle', 'rle': brush(right)}
    results = [{**common, 'id': region, 'type': kind, 'value': value} for region, kind, value in (
        ('r1', 'polygonlabels', {**polygon, 'polygonlabels': ['Object']}),
        ('r1', 'textarea', {**polygon, 'text': [first]}),
        ('r2', 'brushlabels', {**strokes, 'brushlabels': ['Object']}),
        ('r2', 'textarea', {**strokes, 'text': [second]}))]
    save_json(folder / 'project-1.json', [{
        'id': 1, 'file_upload': '0a1b2c3d-my_cup_2.jpg', 'data': {'image': '/data/upload/1/0a1b2c3d-my_cup_2.jpg'},
        'annotations': [{'result': [], 'was_cancelled': True}, {'result': results, 'was_cancelled': False}]}])


def write_roboflow(folder):
    """YOLOv8 segmentation: names with hashes, paths that lead out, no line end at the end."""
    save_image(folder / 'valid/images/my-cup-2_jpg.rf.0a1b.jpg')
    (folder / 'valid/labels').mkdir()
    lines = [f'{number} ' + ' '.join(f'{x / 20} {y / 10}' for x, y in corners(mask))
             for number, mask in enumerate(OUTLINES.values())]
    (folder / 'valid/labels/my-cup-2_jpg.rf.0a1b.txt').write_text('\n'.join(lines))
    (folder / 'data.yaml').write_text(f'train: ../train/images\nval: ../valid/images\nnc: 2\nnames: {list(OUTLINES)}\n')
    (folder / 'README.dataset.txt').write_text('# cups\n')


def write_table(folder):
    """As Excel on Windows saves it; masks of 0 and 255, and with a palette."""
    save_image(folder / 'images/my cup (2).jpg')
    (folder / 'masks').mkdir()
    text = 'Image;Mask;Expression\r\n'
    for number, (words, mask) in enumerate(OUTLINES.items()):
        picture = Image.fromarray(mask * 255)
        if number:
            picture = Image.fromarray(mask, 'P')
            picture.putpalette([0, 0, 0, 200, 0, 0])
        picture.save(folder / f'masks/cup_{number}.png')
        text += f'images\\my cup (2).jpg;masks\\cup_{number}.png;{words}\r\n'
    (folder / 'expressions.csv').write_bytes(text.encode('utf-8-sig'))


@pytest.mark.parametrize(('kind', 'write'), [
    ('coco', write_cvat), ('labelme', write_labelme), ('label-studio', write_label_studio), ('yolo', write_roboflow),
    ('table', write_table)])
def test_five_tools_say_the_same(tmp_path, kind, write):
    write(tmp_path / 'src')
    _, lines = run(kind, tmp_path / 'src')
    said = {line['expressions'][0]: mask for line, mask in zip(lines, masks(lines), strict=True)}
    assert said.keys() == OUTLINES.keys()
    assert all(np.array_equal(said[words], OUTLINES[words]) for words in said)
