"""Exports of annotation tools."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

from PIL import Image

from mmrefseg.datasets import JSONLinesDataset
from mmrefseg.datasets.importing import Options, import_annotations

from .damaged_files import Attempt, damaged, read_all

_SQUARE = [2, 1, 6, 1, 6, 5, 2, 5]
_POINTS = [[2, 1], [6, 1], [6, 5], [2, 5]]
_COCO = {'images': [{'id': 1, 'file_name': 'a.jpg', 'height': 10, 'width': 20}],
         'categories': [{'id': 3, 'name': 'cup'}],
         'annotations': [{'id': 1, 'image_id': 1, 'category_id': 3, 'segmentation': [_SQUARE]},
                         {'id': 2, 'image_id': 1, 'caption': 'b',
                          'segmentation': {'size': [10, 20], 'counts': [50, 150]}},
                         {'id': 3, 'image_id': 1, 'attributes': {'expression': 'a box'}, 'bbox': [1, 2, 3, 4]}]}
_LABELME = {'version': '5', 'imagePath': 'a.jpg', 'imageHeight': 10, 'imageWidth': 20, 'shapes': [
    {'label': 'cup', 'points': _POINTS, 'shape_type': 'polygon', 'group_id': 1, 'description': ''},
    {'label': 'saucer', 'points': [[5, 5], [5, 8]], 'shape_type': 'circle'},
    {'label': 'box', 'points': [[1, 1], [5, 8]], 'shape_type': 'rectangle'}]}
_REGION = {'original_height': 10, 'original_width': 20, 'image_rotation': 0}
_LABEL_STUDIO = [{'id': 1, 'data': {'image': '/data/upload/1/0a1b2c3d-a.jpg'}, 'annotations': [{'result': [
    {**_REGION, 'id': 'x', 'type': 'polygonlabels',
     'value': {'points': [[5, 5], [50, 5], [50, 70]], 'polygonlabels': ['cup']}},
    {**_REGION, 'id': 'y', 'type': 'rectanglelabels',
     'value': {'x': 10, 'y': 20, 'width': 30, 'height': 40, 'rectanglelabels': ['box']}},
    {'id': 'x', 'type': 'textarea', 'from_name': 'text', 'value': {'text': ['the left cup']}}]}]}]
_CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><image id="0" name="a.jpg" width="20" height="10" subset="train">
<polygon label="cup" points="2,1;6,1;6,5;2,5"><attribute name="expression">the cup</attribute></polygon>
<mask label="saucer" rle="2, 4, 2" left="1" top="2" width="4" height="2"></mask>
<box label="box" xtl="1" ytl="1" xbr="5" ybr="6"></box></image></annotations>"""
_CSV = 'image,mask,expression,height,width\na.jpg,"[[2,1,6,1,6,5,2,5]]",the cup,10,20\na.jpg,none,"[""a"", ""b""]",,\n'
_REFS = [{'ref_id': 1, 'image_id': 1, 'ann_id': 1, 'split': 'train', 'sentences': [{'sent': 'the cup', 'sent_id': 1}]},
         {'ref_id': 2, 'image_id': 1, 'ann_id': [1, 2], 'split': 'val', 'sentences': ['both']},
         {'ref_id': 3, 'image_id': 1, 'ann_id': -1, 'split': 'val', 'sentences': [{'raw': 'a dog'}]}]
# What is damaged, and the files beside it.
IMPORTS = {
    'coco': ('x.json', {'x.json': json.dumps(_COCO)}),
    'cvat': ('annotations.xml', {'annotations.xml': _CVAT}),
    'labelme': ('a.json', {'a.json': json.dumps(_LABELME)}),
    'label-studio': ('x.json', {'x.json': json.dumps(_LABEL_STUDIO)}),
    'yolo': ('labels/a.txt', {'labels/a.txt': '0 0.1 0.1 0.5 0.1 0.5 0.6\n1 0.5 0.5 0.2 0.2\n',
                              'data.yaml': 'names: [cup, box]'}),
    'yolo names': ('data.yaml', {'labels/a.txt': '0 0.1 0.1 0.5 0.1 0.5 0.6\n',
                                 'data.yaml': 'names:\n  0: cup\n  1: box\npath: ../x\n'}),
    'table': ('x.csv', {'x.csv': _CSV}),
    'refcoco': ('refs.json', {'refs.json': json.dumps(_REFS), 'instances.json': json.dumps(_COCO)}),
    'refcoco instances': ('instances.json', {'refs.json': json.dumps(_REFS), 'instances.json': json.dumps(_COCO)}),
}


def imports(name: str, folder: Path) -> Attempt:
    """Every second time without what is broken; then what is left is whole."""
    root, (broken, files) = folder / 'src', IMPORTS[name]
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(content)
    (root / 'images').mkdir()
    Image.new('RGB', (20, 10)).save(root / 'images/a.jpg')
    source, content = root / 'refs.json' if 'refcoco' in name else root, files[broken].encode()

    def attempt(seed):
        (root / broken).write_bytes(damaged(content, broken, seed))
        try:
            import_annotations(name.split()[0], source, folder / 'out', Options(boxes=True),
                               skip_broken=bool(seed and seed % 4 > 1))
            for file in (folder / 'out/annotations').iterdir():
                read_all(JSONLinesDataset(str(folder / 'out'), split=file.stem))
        finally:
            shutil.rmtree(folder / 'out', ignore_errors=True)

    return attempt
