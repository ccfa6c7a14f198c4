"""What annotation tools write, in the small: one photo of 10 x 20 pixels, and what becomes of it."""
import base64
import io
import json

import numpy as np
from PIL import Image

from mmrefseg.datasets import JSONLinesDataset
from mmrefseg.datasets.importing import import_annotations
from mmrefseg.structures.mask_formats import draw_mask

SQUARE = [2, 1, 6, 1, 6, 5, 2, 5]
"""A polygon of 4 x 4 pixels: rows 1 to 4, columns 2 to 5."""


def inside(rows=(1, 5), columns=(2, 6), size=(10, 20)):
    mask = np.zeros(size, np.uint8)
    mask[slice(*rows), slice(*columns)] = 1
    return mask


def save_image(path, size=(10, 20), orientation=None, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new('RGB', size[::-1], (value, 80, 200)).save(path, exif=exif)


def save_json(path, content, bom=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8-sig' if bom else 'utf-8')


def coco(annotations, images=({'id': 1, 'file_name': 'a.jpg', 'height': 10, 'width': 20}, )):
    return {'images': list(images), 'categories': [{'id': 3, 'name': 'cup'}],
            'annotations': [{'id': index, 'image_id': 1, 'category_id': 3, **annotation}
                            for index, annotation in enumerate(annotations)]}


def run(kind, source, **kwargs):
    """Import; returns what was made, and the lines of all splits."""
    out = source.parent / 'out'
    made = import_annotations(kind, source, out, **kwargs)
    lines = [json.loads(line) for file in sorted((out / 'annotations').glob('*.jsonl'))
             for line in file.read_text().splitlines()]
    for split in made.splits:
        assert len(list(JSONLinesDataset(str(out), split).referents())) == made.splits[split]['lines']
    return made, lines


def masks(lines):
    return [draw_mask(line['mask'], line['height'], line['width']) for line in lines]


def png_of(mask):
    """A mask in base64, as LabelMe's files hold it."""
    content = io.BytesIO()
    Image.fromarray(mask).save(content, 'PNG')
    return base64.b64encode(content.getvalue()).decode()


def brush(mask):
    """Label Studio's code of a mask: a run per row of pixels, and literal values for the first row."""
    width = mask.shape[1]
    bits = f'{4 * mask.size:032b}{7:05b}{0:04b}{3:04b}{7:04b}{15:04b}'
    for row, pixels in enumerate(mask):
        if row == 0:
            bits += f'0{2:02b}{4 * width - 1:08b}' + ''.join(f'{255 * value:08b}' * 4 for value in pixels)
            continue
        for value in pixels:
            bits += f'1{1:02b}{3:04b}{255 * int(value):08b}'
    bits += '0' * (-len(bits) % 8)
    return [int(bits[start:start + 8], 2) for start in range(0, len(bits), 8)]
