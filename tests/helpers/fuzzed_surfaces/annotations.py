"""Annotations, prepared data sets, archives, LMDB files and logs."""
from __future__ import annotations

import json
import zipfile
from itertools import count
from pathlib import Path

from helpers.fuzzing import change_json, mutate
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco
from helpers.instance_files import tiny_coco, write_coco, write_voc
from helpers.phrasecut_files import tiny_phrasecut, write_phrasecut
from helpers.refclef_files import write_refclef
from helpers.refcoco_files import tiny_refcoco, write_refcoco

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
from mmrefseg.datasets.preparation import prepare, verify
from mmrefseg.datasets.preparation.file_catalogue import Catalogue
from mmrefseg.datasets.transforms.loading import image_bytes
from mmrefseg.utils.lmdb_file import check_content
from mmrefseg.visualization import read_log

from .damaged_files import Attempt, damaged, read_all


def write_lines(root: Path) -> Path:
    write_refcoco(root, tiny_refcoco())
    lines = [{'image': 'one.jpg', 'expression': 'ä', 'mask': [[2, 2, 12, 2, 12, 12, 2, 12]], 'image_id': 3},
             {'image': 'two.png', 'expressions': ['b', 'c'], 'mask': {'size': [40, 20], 'counts': [40, 80, 680]}},
             {'image': 'one.jpg', 'expression': 'nothing', 'mask': None, 'kinds': ['x'], 'height': 24, 'width': 32}]
    (root / 'annotations').mkdir()
    (root / 'annotations/train.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return root


def write_prepared(root: Path) -> Path:
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
    'prepared lines': (write_prepared, 'annotations/train.jsonl', JSONLinesDataset),
    'index': (write_prepared, 'annotations/train.index.json', JSONLinesDataset),
}


def annotations(reader: str, folder: Path) -> Attempt:
    write, name, kind = READERS[reader]
    root = write(folder / 'data')
    content = (root / name).read_bytes()

    def attempt(seed):
        (root / name).write_bytes(damaged(content, name, seed))
        read_all(kind(str(root), split='train'))

    return attempt


def broken_entries(folder: Path) -> Attempt:
    """What is left is whole: prepared without a complaint, and verified."""
    root = write_lines(folder / 'data')
    content, numbers = (root / 'annotations/train.jsonl').read_bytes(), count()

    def attempt(seed):
        out = folder / str(next(numbers))
        (root / 'annotations/train.jsonl').write_bytes(change_json(content, seed, lines=True))
        prepare('jsonl', [root], out, skip_broken=True)
        assert verify(out) == []

    return attempt


def archives(folder: Path) -> Attempt:
    root = write_refcoco(folder / 'data', tiny_refcoco())
    path = folder / 'a.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in ('instances.json', 'refs(unc).p', 'images/one.jpg'):
            archive.write(root / file, f'folder/{file}')
    content, numbers = path.read_bytes(), count()
    directory = content.index(b'PK\1\2')

    def changed(seed):
        # Most damage to the whole file is to members; so also to their list alone.
        if seed is None or seed % 2:
            return mutate(content, seed)
        return content[:directory] + mutate(content[directory:], seed)

    def attempt(seed):
        # A process keeps archives open by their names.
        path = folder / str(next(numbers)) / 'a.zip'
        path.parent.mkdir()
        path.write_bytes(changed(seed))
        catalogue = Catalogue([path.parent])
        for name in ('instances.json', 'refs(unc).p', 'one.jpg'):
            for location in catalogue.find(name):
                assert len(location.read(1 << 20)) <= 1 << 20

    return attempt


def lmdb(folder: Path) -> Attempt:
    """In this very process, which LMDB itself would take along."""
    prepare('jsonl', [write_lines(folder / 'src')], folder / 'out', lmdb=True)
    content = (folder / 'out/data.lmdb').read_bytes()

    def changed(seed):
        if seed is None or seed % 2:
            return mutate(content, seed)
        # Most damage to the whole file is to images; so also to the pages of the tree alone.
        start = seed // 2 * 4096 % len(content)
        page = mutate(content[start:start + 4096], seed)
        return content[:start] + (page + bytes(4096))[:4096] + content[start + 4096:]

    def attempt(seed):
        (folder / 'new').write_bytes(changed(seed))
        (folder / 'new').replace(folder / 'out/data.lmdb')
        dataset = ReferringLMDBDataset(str(folder / 'out'))
        read_all(dataset)
        for index in range(len(dataset)):
            image_bytes(dataset.get_data_info(index)['img_path'])
        check_content(folder / 'out/data.lmdb')

    return attempt


def logs(folder: Path) -> Attempt:
    """Scalars that a training wrote down."""
    path = folder / 'run/1/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    lines = [{'loss': 1.5, 'lr': 1e-3, 'routing/backbone/0/share/0': 0.5, 'step': step} for step in (1, 2, 3)]
    content = '\n'.join(map(json.dumps, lines)).encode()

    def attempt(seed):
        path.write_bytes(change_json(content, seed, lines=True))
        read_log(folder / 'run')

    return attempt


def manifest(name: str, folder: Path) -> Attempt:
    """What a prepared data set says of itself."""
    path = write_prepared(folder) / name
    content = path.read_bytes()

    def attempt(seed):
        path.write_bytes(change_json(content, seed))
        verify(folder / 'out')

    return attempt
