"""What there is to know of each data set that can be prepared."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_REFER = 'http://bvisionweb1.cs.unc.edu/licheng/referit/data/{} (by way of https://github.com/lichengunc/refer)'
_COCO_2014 = 'http://images.cocodataset.org/zips/train2014.zip'
_VISUAL_GENOME = 'https://homes.cs.washington.edu/~ranjay/visualgenome/api.html (images, parts 1 and 2)'
_VOC = 'http://host.robots.ox.ac.uk/pascal/VOC/voc2012 (VOCtrainval_11-May-2012.tar, to be unpacked)'
_REFSHAPES = 'tools/dataset_converters/refshapes.py'


class SplitSize(NamedTuple):
    """How much a split must hold; None where nobody has published it.

    Args:
        refs: referents.
        images: images that they are on.
        expressions: expressions about them.
    """

    refs: int | None
    images: int | None
    expressions: int | None


class Recipe(NamedTuple):
    """How a data set is read.

    Args:
        dataset: name of its class.
        files: files that must be in its folder.
        files_from: their official address.
        images_from: that of the images.
        folder: official name of its folder, which tells it from others with files of these names.
        image_folders: official names of the images' folders.
        arguments: arguments of the class besides folder and split.
        splits: splits to prepare; None means all that the files have.
        counts: what is known of the splits' sizes.
    """

    dataset: str
    files: tuple[str, ...]
    files_from: str
    images_from: str
    folder: str = ''
    image_folders: tuple[str, ...] = ()
    arguments: Mapping = MappingProxyType({})
    splits: tuple[str, ...] | None = None
    counts: Mapping[str, SplitSize] = MappingProxyType({})


def _refcoco(folder: str, split_by: str, counts: Mapping[str, SplitSize]) -> Recipe:
    return Recipe('RefCOCODataset', (f'refs({split_by}).p', 'instances.json'), _REFER.format(f'{folder}.zip'),
                  _COCO_2014, folder, ('train2014', ), {'split_by': split_by}, counts=counts)


def _refclef(split_by: str) -> Recipe:
    return Recipe('RefCLEFDataset', (f'refs({split_by}).p', 'instances.json'), _REFER.format('refclef.zip'),
                  _REFER.format('images/saiapr_tc-12.zip'), 'refclef', ('saiapr_tc-12', ), {'split_by': split_by})


RECIPES = MappingProxyType({
    'refcoco-unc': _refcoco('refcoco', 'unc', {
        'train': SplitSize(42404, 16994, 120624),
        'val': SplitSize(3811, 1500, 10834),
        'testA': SplitSize(1975, 750, 5657),
        'testB': SplitSize(1810, 750, 5095),
    }),
    'refcoco-google': _refcoco('refcoco', 'google', {
        'train': SplitSize(40000, 19213, None),
        'val': SplitSize(5000, 4559, None),
        'test': SplitSize(5000, 4527, None),
    }),
    'refcoco+-unc': _refcoco('refcoco+', 'unc', {
        'train': SplitSize(42278, 16992, 120191),
        'val': SplitSize(3805, 1500, 10758),
        'testA': SplitSize(1975, 750, 5726),
        'testB': SplitSize(1798, 750, 4889),
    }),
    'refcocog-umd': _refcoco('refcocog', 'umd', {
        'train': SplitSize(42226, 21899, 80512),
        'val': SplitSize(2573, 1300, 4896),
        'test': SplitSize(5023, 2600, 9602),
    }),
    'refcocog-google': _refcoco('refcocog', 'google', {
        'train': SplitSize(44822, 24698, 85474),
        'val': SplitSize(5000, 4650, 9536),
    }),
    'grefcoco': Recipe('GRefCOCODataset', ('grefs(unc).json', 'instances.json'),
                       'https://github.com/henghuiding/gRefCOCO', _COCO_2014, 'grefcoco', ('train2014', )),
    'refclef-unc': _refclef('unc'),
    'refclef-berkeley': _refclef('berkeley'),
    'phrasecut': Recipe(
        'PhraseCutDataset',
        ('image_data_split.json', *(f'refer_{split}.json' for split in ('train', 'val', 'test', 'miniv'))),
        'https://github.com/ChenyunWu/PhraseCutDataset', _VISUAL_GENOME, 'VGPhraseCut_v0', ('VG_100K', 'VG_100K_2'),
        splits=('train', 'val_miniv', 'test', 'miniv'),
        counts={
            'train': SplitSize(None, 71746, 310816),
            'val_miniv': SplitSize(None, 2971, 20316),
            'test': SplitSize(None, 2545, 14354),
            'miniv': SplitSize(None, 100, 821),
        }),
    'coco-prompts': Recipe('CocoPromptDataset', ('annotations/instances_val2017.json', ),
                           'http://images.cocodataset.org/annotations/annotations_trainval2017.zip',
                           'http://images.cocodataset.org/zips/val2017.zip', image_folders=('val2017', ),
                           splits=('val', )),
    'voc-prompts': Recipe('VOCPromptDataset',
                          ('ImageSets/Segmentation/*.txt', 'SegmentationClass/*.png', 'SegmentationObject/*.png'),
                          _VOC, _VOC, 'VOC2012', ('JPEGImages', )),
    'refshapes': Recipe('RefCOCODataset', ('refs(unc).p', 'instances.json'), _REFSHAPES, _REFSHAPES, 'refshapes',
                        arguments={'image_source': None}),
    'jsonl': Recipe('JSONLinesDataset', ('annotations/*.jsonl', ), 'your own hands', 'your own hands'),
})
"""All data sets by the name that ``tools/dataset_converters/prepare.py`` knows them by."""
