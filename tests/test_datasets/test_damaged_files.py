"""Files of data sets, damaged at random: whatever the damage, they are read, or refused by a message.

For a long run: ``DAMAGES=10000 pytest tests/test_datasets/test_damaged_files.py``.
"""
import json
import os
import zipfile
from pathlib import Path

import pytest
from helpers.fuzzing import unclear_ends
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
from mmrefseg.datasets.preparation.catalogue import Catalogue
from mmrefseg.datasets.transforms.loading import image_bytes
from mmrefseg.utils.lmdb_file import check_content

DAMAGES = int(os.environ.get('DAMAGES', 60))


def _write_lines(root: Path) -> Path:
    write_refcoco(root, tiny_refcoco())
    lines = [{'image': 'one.jpg', 'expression': 'ä', 'mask': [[2, 2, 12, 2, 12, 12, 2, 12]], 'image_id': 3},
             {'image': 'two.png', 'expressions': ['b', 'c'], 'mask': {'size': [40, 20], 'counts': [40, 80, 680]}},
             {'image': 'one.jpg', 'expression': 'nothing', 'mask': None, 'kinds': ['x'], 'height': 24, 'width': 32}]
    (root / 'annotations').mkdir()
    (root / 'annotations/train.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return root


def _write_prepared(root: Path) -> Path:
    prepare('jsonl', [_write_lines(root / 'src')], root / 'out')
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
    'lines': (_write_lines, 'annotations/train.jsonl', JSONLinesDataset),
    'prepared lines': (_write_prepared, 'annotations/train.jsonl', JSONLinesDataset),
    'index': (_write_prepared, 'annotations/train.index.json', JSONLinesDataset),
}


def _read_all(dataset):
    for place in range(len(dataset)):
        dataset.get_data_info(place)
    dataset.images()


@pytest.mark.parametrize('reader', READERS)
def test_annotations(tmp_path, reader):
    write, name, kind = READERS[reader]
    root = write(tmp_path / 'data')

    def read(content):
        (root / name).write_bytes(content)
        _read_all(kind(str(root), split='train'))

    content = (root / name).read_bytes()
    read(content)
    assert unclear_ends(read, content, range(DAMAGES)) == {}


def test_broken_entries_left_out(tmp_path):
    """What is left is whole: prepared without a complaint, and verified."""
    root = _write_lines(tmp_path / 'data')
    outs = (tmp_path / str(number) for number in range(DAMAGES))

    def read(content):
        out = next(outs)
        (root / 'annotations/train.jsonl').write_bytes(content)
        prepare('jsonl', [root], out, skip_broken=True)
        assert verify(out) == []

    assert unclear_ends(read, (root / 'annotations/train.jsonl').read_bytes(), range(DAMAGES // 4)) == {}


def test_archives(tmp_path):
    root = write_refcoco(tmp_path / 'data', tiny_refcoco())
    (tmp_path / 'src').mkdir()
    with zipfile.ZipFile(tmp_path / 'src/a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in ('instances.json', 'refs(unc).p', 'images/one.jpg'):
            archive.write(root / file, f'folder/{file}')

    def read(content):
        (tmp_path / 'src/a.zip').write_bytes(content)
        catalogue = Catalogue([tmp_path / 'src'])
        for name in ('instances.json', 'refs(unc).p', 'one.jpg'):
            for place in catalogue.find(name):
                assert len(place.read(1 << 20)) <= 1 << 20

    assert unclear_ends(read, (tmp_path / 'src/a.zip').read_bytes(), range(2 * DAMAGES)) == {}


def test_lmdb(tmp_path):
    """In this very process, which LMDB itself would take along."""
    prepare('jsonl', [_write_lines(tmp_path / 'src')], tmp_path / 'out', lmdb=True)
    content = (tmp_path / 'out/data.lmdb').read_bytes()

    def read(content):
        (tmp_path / 'new').write_bytes(content)
        (tmp_path / 'new').replace(tmp_path / 'out/data.lmdb')
        dataset = ReferringLMDBDataset(str(tmp_path / 'out'))
        _read_all(dataset)
        for place in range(len(dataset)):
            image_bytes(dataset.get_data_info(place)['img_path'])
        check_content(tmp_path / 'out/data.lmdb')

    read(content)
    # Most damage to the whole file is to images; so also to the pages of the tree alone.
    assert unclear_ends(read, content, range(DAMAGES)) == {}
    for page in range(0, len(content), 4096):
        def read_with(part, page=page):
            read(content[:page] + (part + bytes(4096))[:4096] + content[page + 4096:])

        assert unclear_ends(read_with, content[page:page + 4096], range(DAMAGES // 6)) == {}


@pytest.mark.parametrize('reader', [name for name in READERS if name not in ('refs', 'voc labels', 'prepared lines')])
def test_a_byte_order_mark(tmp_path, reader):
    """As some editors write it before anything else."""
    write, name, kind = READERS[reader]
    root = write(tmp_path / 'data')
    expected = list(kind(str(root), split='train').referents())
    (root / name).write_bytes(b'\xef\xbb\xbf' + (root / name).read_bytes())
    assert list(kind(str(root), split='train').referents()) == expected
