"""What ``tools/dataset_converters/prepare.py --download`` gets: the files of public data sets, and where they are.

Sizes and SHA-256 are there where somebody published them: those of COCO's files are TensorFlow Datasets'
(``url_checksums/coco.txt``). Where they are None, there is the server's word alone; the published counts of a split are
checked in any case, when it is prepared.
"""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class PublishedFile(NamedTuple):
    """A file of a public data set that can be downloaded.

    Args:
        name: what to call it, below the folder of downloads.
        mirrors: its addresses, the best first.
        licence: what its publishers say one may do with it.
        holds: the folder or file that it is, or that is in the archive; where that is there, nothing is downloaded.
        size: in bytes. Default None, unknown.
        sha256: in hexadecimal digits. Default None, nobody published it.
        tried: whether the mirrors have ever been tried with this code. Default False.
    """

    name: str
    mirrors: tuple[str, ...]
    licence: str
    holds: str
    size: int | None = None
    sha256: str | None = None
    tried: bool = False


_UNSAID = 'no licence is named; its authors made it public for research'
_FLICKR = "COCO's terms of use: each photo's copyright is its owner's, on Flickr"
_COCO = 'http://images.cocodataset.org'
_UNC = 'https://bvisionweb1.cs.unc.edu/licheng/referit/data'
_GREFCOCO = 'https://huggingface.co/datasets/FudanCVL/gRefCOCO/resolve/main'
_DRIVE = 'https://drive.usercontent.google.com/download?export=download&confirm=t&id='
_GENOME = 'https://cs.stanford.edu/people/rak248/VG_100K_2'


def _refer(folder: str, archived: str, holds: str) -> PublishedFile:
    """Of the UNC's server, which is mostly down, and of its copies in the Internet Archive."""
    address = f'{_UNC}/{folder}.zip'
    return PublishedFile(f'{folder.rpartition("/")[2]}.zip',
                         (address, f'https://web.archive.org/web/{archived}/{address}'), _UNSAID, holds)


def _grefcoco(name: str) -> PublishedFile:
    return PublishedFile(f'grefcoco/{name}', (f'{_GREFCOCO}/{name}', ), 'CC BY-NC-SA 4.0', f'grefcoco/{name}')


def _phrasecut(name: str, drive_id: str) -> PublishedFile:
    name = f'VGPhraseCut_v0/{name}.json'
    return PublishedFile(name, (_DRIVE + drive_id, ), _UNSAID, name)


def _genome(folder: str, name: str) -> PublishedFile:
    return PublishedFile(f'{folder}.zip', (f'{_GENOME}/{name}', ), 'CC BY 4.0', folder)


_TRAIN_2014 = PublishedFile(
    'train2014.zip', (f'{_COCO}/zips/train2014.zip', ), _FLICKR, 'train2014', 13510573713,
    'ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775')
_REFCOCO = (_refer('refcoco', '20220413011718', 'refcoco/instances.json'), _TRAIN_2014)
_REFCOCOG = (_refer('refcocog', '20220413012904', 'refcocog/instances.json'), _TRAIN_2014)
_REFCLEF = (_refer('refclef', '20220413011817', 'refclef/instances.json'),
            _refer('images/saiapr_tc-12', '20220515000000', 'saiapr_tc-12'))

PUBLISHED_FILES: Mapping[str, tuple[PublishedFile, ...]] = MappingProxyType({
    'refcoco-unc': _REFCOCO,
    'refcoco-google': _REFCOCO,
    'refcoco+-unc': (_refer('refcoco+', '20220413011656', 'refcoco+/instances.json'), _TRAIN_2014),
    'refcocog-umd': _REFCOCOG,
    'refcocog-google': _REFCOCOG,
    'grefcoco': (_grefcoco('grefs(unc).json'), _grefcoco('instances.json'), _TRAIN_2014),
    'refclef-unc': _REFCLEF,
    'refclef-berkeley': _REFCLEF,
    'phrasecut': (
        _phrasecut('image_data_split', '1xB9eExJo35K3DQu8PnBWZ1q_OMoMl8-i'),
        _phrasecut('refer_train', '1qx-0q6r9r0YUGpoyT0B8HJKmUFWQDSu7'),
        _phrasecut('refer_val', '1UyojArOFPlsSeNbA9fHWjCjOOU-OCohG'),
        _phrasecut('refer_test', '1jrzXm1gcq6f5hNDeamZd0UmyyHUv61IZ'),
        _phrasecut('refer_miniv', '1oLcTQ1blTIQyu5ZMelQN2HSniuQaxM4E'),
        _genome('VG_100K', 'images.zip'),
        _genome('VG_100K_2', 'images2.zip'),
    ),
    'coco-prompts': (
        PublishedFile('annotations_trainval2017.zip', (f'{_COCO}/annotations/annotations_trainval2017.zip', ),
                      'CC BY 4.0', 'annotations/instances_val2017.json', 252907541,
                      '113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268'),
        PublishedFile('val2017.zip', (f'{_COCO}/zips/val2017.zip', ), _FLICKR, 'val2017', 815585330,
                      '4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05'),
    ),
})
"""Data set → its files, of those that may be downloaded by a program."""
