"""What reads files that others made, each with a try of it that a seed damages.

``SURFACES`` has them all: kind → a function that takes a folder for its files and gives the try. With None for a
seed nothing is damaged, and all must be well.
"""
from __future__ import annotations

import io
import json
import pickle
import resource
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from helpers.fuzzing import change_json, mutate
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco
from helpers.instance_files import tiny_coco, write_coco, write_voc
from helpers.odd_values import change_values
from helpers.phrasecut_files import tiny_phrasecut, write_phrasecut
from helpers.refclef_files import write_refclef
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from helpers.toy_runner import toy_runner
from mmengine.logging import HistoryBuffer
from PIL import Image
from torch import nn

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.checkpoints.weights import load_weights
from mmrefseg.datasets import (
    CocoPromptDataset,
    GRefCOCODataset,
    JSONLinesDataset,
    PhraseCutDataset,
    RefCLEFDataset,
    RefCOCODataset,
    ReferringLMDBDataset,
    VOCPromptDataset,
)
from mmrefseg.datasets.importing import Options, import_annotations
from mmrefseg.datasets.preparation import prepare, verify
from mmrefseg.datasets.preparation.catalogue import Catalogue
from mmrefseg.datasets.transforms.loading import decode_image, image_bytes
from mmrefseg.errors import InputError
from mmrefseg.evaluation.predictions import read_predictions
from mmrefseg.structures.masks import draw_mask
from mmrefseg.utils.image_header import read_image_size
from mmrefseg.utils.lmdb_file import check_content
from mmrefseg.visualization import read_log

Attempt = Callable[[int | None], object]


def write_lines(root: Path) -> Path:
    write_refcoco(root, tiny_refcoco())
    lines = [{'image': 'one.jpg', 'expression': 'ä', 'mask': [[2, 2, 12, 2, 12, 12, 2, 12]], 'image_id': 3},
             {'image': 'two.png', 'expressions': ['b', 'c'], 'mask': {'size': [40, 20], 'counts': [40, 80, 680]}},
             {'image': 'one.jpg', 'expression': 'nothing', 'mask': None, 'kinds': ['x'], 'height': 24, 'width': 32}]
    (root / 'annotations').mkdir()
    (root / 'annotations/train.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return root


def _write_prepared(root: Path) -> Path:
    prepare('jsonl', [write_lines(root / 'src')], root / 'out')
    return root / 'out'


READERS = {
    'refs': (lambda root: write_refcoco(root, tiny_refcoco()), 'refs(unc).p', RefCOCODataset),
    'instances': (lambda root: write_refcoco(root, tiny_refcoco()), 'instances.json', RefCOCODataset),
    'grefs': (lambda root: write_grefcoco(root, tiny_grefcoco()), 'grefs(unc).json', GRefCOCODataset),
    'refclef': (write_refclef, 'instances.json', RefCLEFDataset),
    'phrases': (lambda root: write_phrasecut(root, tiny_phrasecut()), 'refer_train.json', PhraseCutDataset),
    'images': (lambda root: write_phrasecut(root, tiny_phrasecut()), 'image_data_split.json', PhraseCutDataset),
    'coco': (lambda root: write_coco(root, tiny_coco(), 'train2017'), 'annotations/instances_train2017.json',
             CocoPromptDataset),
    'voc names': (write_voc, 'ImageSets/Segmentation/train.txt', VOCPromptDataset),
    'voc labels': (write_voc, 'SegmentationObject/2008_000007.png', VOCPromptDataset),
    'lines': (write_lines, 'annotations/train.jsonl', JSONLinesDataset),
    'prepared lines': (_write_prepared, 'annotations/train.jsonl', JSONLinesDataset),
    'index': (_write_prepared, 'annotations/train.index.json', JSONLinesDataset),
}


def _read_all(dataset):
    for index in range(len(dataset)):
        dataset.get_data_info(index)
    dataset.images()


PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
MASK = np.zeros((24, 32), np.uint8)
MASK[3:9, 4:20] = 255


def _written(pixels: np.ndarray, kind: str, **options) -> bytes:
    file, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 1 if pixels.ndim == 2 else 6
    Image.fromarray(pixels).save(file, kind, **options, **({} if kind in ('GIF', 'BMP') else {'exif': exif}))
    return file.getvalue()


FILES = {
    'JPEG': [_written(PICTURE, 'JPEG'), _written(PICTURE, 'JPEG', progressive=True)],
    'PNG': [_written(PICTURE, 'PNG'), _written(MASK, 'PNG')],
    'WEBP': [_written(PICTURE, 'WEBP'), _written(MASK, 'WEBP', lossless=True)],
    'TIFF': [_written(PICTURE, 'TIFF', compression='tiff_lzw'), _written(MASK, 'TIFF')],
    'GIF': [_written(MASK, 'GIF')],
    'BMP': [_written(PICTURE, 'BMP')],
}


FORMATS = ('zip', 'legacy', 'safetensors')


def _model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def whole_file(kind):
    state = _model().state_dict()
    if kind == 'safetensors':
        return safetensors.torch.save(state)
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    content = io.BytesIO()
    torch.save(dict(meta=dict(epoch=1, iter=2, dataset_meta=dict(palette=np.ones(3, np.uint8))), state_dict=state,
                    message_hub=dict(log_scalars=dict(loss=history), runtime_info={}, resumed_keys=dict(loss=True))),
               content, _use_new_zipfile_serialization=kind == 'zip')
    return content.getvalue()


def reader(folder, kind):
    path = Path(folder, 'a.safetensors' if kind == 'safetensors' else 'a.pth')

    def read(content):
        path.write_bytes(content)
        checkpoint = load_from_local(str(path))
        load_weights(_model(), checkpoint.get('state_dict', checkpoint), str(path))
        return checkpoint

    return read


SCHEDULE = [dict(type='LinearLR', start_factor=0.1, begin=0, end=2, by_epoch=False),
            dict(type='MultiStepLR', milestones=[3], by_epoch=False),
            dict(type='CosineAnnealingLR', eta_min=0.0, T_max=6, begin=0, end=6, by_epoch=False)]


def train(folder, max_iters, **kwargs):
    """Train with averaged weights and several schedules."""
    runner = toy_runner(
        folder, param_scheduler=SCHEDULE, train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        custom_hooks=[dict(type='LoadCheckpointHook'), dict(type='EMAHook')], **kwargs)
    runner.train()
    return runner


def resume(folder, checkpoint):
    torch.save(checkpoint, folder / 'changed.pth')
    return train(folder, 4, resume=True, load_from=str(folder / 'changed.pth'))


def _annotations(reader: str, folder: Path) -> Attempt:
    write, name, kind = READERS[reader]
    root = write(folder / 'data')
    content = (root / name).read_bytes()

    def attempt(seed):
        (root / name).write_bytes(_damaged(content, name, seed))
        _read_all(kind(str(root), split='train'))

    return attempt


def _damaged(content: bytes, name: str, seed: int | None) -> bytes:
    """A file that is damaged, or of some kinds has other values, too."""
    kind = Path(name).suffix
    if kind == '.p' and seed is not None and not seed % 2:
        return pickle.dumps(change_values(pickle.loads(content), seed), protocol=2)  # noqa: S301  written by the test
    return change_json(content, seed, kind == '.jsonl') if kind in ('.json', '.jsonl') else mutate(content, seed)


def _broken_entries(folder: Path) -> Attempt:
    """What is left is whole: prepared without a complaint, and verified."""
    root = write_lines(folder / 'data')
    content, numbers = (root / 'annotations/train.jsonl').read_bytes(), count()

    def attempt(seed):
        out = folder / str(next(numbers))
        (root / 'annotations/train.jsonl').write_bytes(change_json(content, seed, lines=True))
        prepare('jsonl', [root], out, skip_broken=True)
        assert verify(out) == []

    return attempt


def _archives(folder: Path) -> Attempt:
    root = write_refcoco(folder / 'data', tiny_refcoco())
    path = folder / 'a.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in ('instances.json', 'refs(unc).p', 'images/one.jpg'):
            archive.write(root / file, f'folder/{file}')
    content, numbers = path.read_bytes(), count()
    directory = content.index(b'PK\1\2')

    def damaged(seed):
        # Most damage to the whole file is to members; so also to their list alone.
        if seed is None or seed % 2:
            return mutate(content, seed)
        return content[:directory] + mutate(content[directory:], seed)

    def attempt(seed):
        # A process keeps archives open by their names.
        path = folder / str(next(numbers)) / 'a.zip'
        path.parent.mkdir()
        path.write_bytes(damaged(seed))
        catalogue = Catalogue([path.parent])
        for name in ('instances.json', 'refs(unc).p', 'one.jpg'):
            for location in catalogue.find(name):
                assert len(location.read(1 << 20)) <= 1 << 20

    return attempt


def _lmdb(folder: Path) -> Attempt:
    """In this very process, which LMDB itself would take along."""
    prepare('jsonl', [write_lines(folder / 'src')], folder / 'out', lmdb=True)
    content = (folder / 'out/data.lmdb').read_bytes()

    def damaged(seed):
        if seed is None or seed % 2:
            return mutate(content, seed)
        # Most damage to the whole file is to images; so also to the pages of the tree alone.
        start = seed // 2 * 4096 % len(content)
        page = mutate(content[start:start + 4096], seed)
        return content[:start] + (page + bytes(4096))[:4096] + content[start + 4096:]

    def attempt(seed):
        (folder / 'new').write_bytes(damaged(seed))
        (folder / 'new').replace(folder / 'out/data.lmdb')
        dataset = ReferringLMDBDataset(str(folder / 'out'))
        _read_all(dataset)
        for index in range(len(dataset)):
            image_bytes(dataset.get_data_info(index)['img_path'])
        check_content(folder / 'out/data.lmdb')

    return attempt


def _pictures(kind: str, folder: Path) -> Attempt:
    """As image, and as mask; neither takes much memory."""
    path, files = folder / 'a', FILES[kind]

    def attempt(seed):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            try_both(seed)
        finally:
            taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert taken < 1_500_000, f'it took {taken // 1000} MB'

    def try_both(seed):
        damaged = files[0] if seed is None else mutate(files[seed % len(files)], seed // len(files))
        path.write_bytes(damaged)
        try:
            for ignore in (False, True):
                img = decode_image(damaged, 'a', ignore)
                assert img.dtype == np.uint8 and img.ndim == 3
                assert img.shape[:2] == read_image_size(BytesIO(damaged), ignore)
        finally:
            try:
                mask = draw_mask({'file': str(path)}, 24, 32)
            except InputError:
                pass
            else:
                assert mask.shape == (24, 32) and set(np.unique(mask)) <= {0, 1}

    return attempt


def _checkpoints(kind: str, folder: Path) -> Attempt:
    content, read = whole_file(kind), reader(folder, kind)
    return lambda seed: read(mutate(content, seed))


def _resumed(folder: Path) -> Attempt:
    train(folder, 2)
    saved = load_from_local(folder / 'iter_2.pth')

    def attempt(seed):
        assert resume(folder, change_values(saved, seed, 0 if seed is None else None)).iter == 4

    return attempt


_RLE = {'size': [24, 32], 'counts': [40, 80, 648]}
_ANSWERS = [{'sent_id': 3, 'segmentation': _RLE, 'score': 0.5}, {'sent_id': 4, 'segmentation': None},
            {'ref_id': 2, 'sentence': 'ä', 'image_id': 7, 'segmentation': [[2, 2, 12, 2, 12, 12]], 'split': 'val'}]
PREDICTIONS = {
    'list.json': json.dumps(_ANSWERS),
    'splits.json': json.dumps({'val': _ANSWERS[:2], 'protocols': {}}),
    'lines.jsonl': ''.join(json.dumps(answer) + '\n' for answer in _ANSWERS),
}


def _predictions(name: str, folder: Path) -> Attempt:
    path = folder / name

    def attempt(seed):
        path.write_bytes(_damaged(PREDICTIONS[name].encode(), name, seed))
        for found in read_predictions(path).splits.values():
            for prediction in found:
                for mask in prediction.masks.values():
                    draw_mask(mask, 24, 32)

    return attempt


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


def _imports(name: str, folder: Path) -> Attempt:
    """Every second time without what is broken; then what is left is whole."""
    root, (damaged, files) = folder / 'src', IMPORTS[name]
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(content)
    (root / 'images').mkdir()
    Image.new('RGB', (20, 10)).save(root / 'images/a.jpg')
    source, content = root / 'refs.json' if 'refcoco' in name else root, files[damaged].encode()

    def attempt(seed):
        (root / damaged).write_bytes(_damaged(content, damaged, seed))
        try:
            import_annotations(name.split()[0], source, folder / 'out', Options(boxes=True),
                               skip_broken=bool(seed and seed % 4 > 1))
            for file in (folder / 'out/annotations').iterdir():
                _read_all(JSONLinesDataset(str(folder / 'out'), split=file.stem))
        finally:
            shutil.rmtree(folder / 'out', ignore_errors=True)

    return attempt


def _logs(folder: Path) -> Attempt:
    """Scalars that a training wrote down."""
    path = folder / 'run/1/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    lines = [{'loss': 1.5, 'lr': 1e-3, 'routing/backbone/0/share/0': 0.5, 'step': step} for step in (1, 2, 3)]
    content = '\n'.join(map(json.dumps, lines)).encode()

    def attempt(seed):
        path.write_bytes(change_json(content, seed, lines=True))
        read_log(folder / 'run')

    return attempt


def _manifest(name: str, folder: Path) -> Attempt:
    """What a prepared data set says of itself."""
    path = _write_prepared(folder) / name
    content = path.read_bytes()

    def attempt(seed):
        path.write_bytes(change_json(content, seed))
        verify(folder / 'out')

    return attempt


SURFACES: dict[str, Callable[[Path], Attempt]] = {
    **{f'annotations: {name}': partial(_annotations, name) for name in READERS},
    'annotations: broken entries left out': _broken_entries,
    'archives': _archives,
    'lmdb': _lmdb,
    **{f'images and masks: {name}': partial(_pictures, name) for name in FILES},
    **{f'checkpoints: {name}': partial(_checkpoints, name) for name in FORMATS},
    'resumed state': _resumed,
    'logs': _logs,
    'manifest': partial(_manifest, 'prepared.json'),
    'checksums of images': partial(_manifest, 'annotations/train.images.json'),
    **{f'imports: {name}': partial(_imports, name) for name in IMPORTS},
    **{f'predictions: {name}': partial(_predictions, name) for name in PREDICTIONS},
}
