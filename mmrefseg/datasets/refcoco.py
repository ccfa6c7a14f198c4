"""RefCOCO, RefCOCO+, RefCOCOg, and whatever is written in their format."""
from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import get_field, is_int64, key_of

from .base_referring_dataset import AnnotatedObject, BaseReferringDataset
from .instances_file import InstancesFile, object_categories
from .refer_pickle import REFER_SOURCE, load_refer_pickle

_SHOWN = 20


@DATASETS.register_module()
class RefCOCODataset(BaseReferringDataset):
    """A data set in the files of RefCOCO (https://arxiv.org/abs/1608.00272)::

        data_root/
        ├── images/             the images (COCO train2014), under the names that instances.json gives
        ├── instances.json      images and annotations in COCO's schema, polygons or RLE
        └── refs(<split_by>).p  refs with their sentences and splits

    The expression is the field ``sent`` of a sentence. A sentence may carry a ``kind`` (RefShapes' do). The pickle
    is read without allowing it to import anything. Images are taken as they are stored, as the tools read them that
    COCO's outlines were made with; for outlines of your own on upright images set ``ignore_orientation=False``.

    Args:
        data_root: folder of the data set.
        split_by: whose splits: ``'unc'``, ``'umd'`` or ``'google'``. Default ``'unc'``.
        split: ``'train'``, ``'val'``, ``'testA'``, ``'testB'``, ``'test'``, as the pickle has it. Default ``'train'``.
        image_source: whose images these are: an id means the same image in all data sets with the same source. None:
            nobody else's, not even those of the same data made anew in another folder. Default ``'coco'``.
        **kwargs: ``unit``, ``data_prefix``, ``ignore_orientation``, ``pipeline`` and more of
            :class:`BaseReferringDataset`.

    Raises:
        MissingInputError: a folder or file is missing.
        InputError: the split is unknown, the files do not hold what they should, a ref's image or annotation is missing
            or its annotation of another image, an id of ``instances.json`` or of a sentence means two things, an
            image's name leads out of the folder of images, an expression is empty or endless, or the pickle tries to
            import anything or repeats sentences without end.
    """

    REFS_FILE = 'refs({split_by}).p'
    SOURCE = REFER_SOURCE
    ANN_ID_TYPE: type | tuple[type, ...] = int
    IGNORE_ORIENTATION = True

    def __init__(self,
                 data_root: str,
                 split_by: str = 'unc',
                 split: str = 'train',
                 image_source: str | None = 'coco',
                 **kwargs) -> None:
        self.split_by = split_by
        self._image_source = image_source or os.path.realpath(data_root)
        self._images: dict[str, set[str]] | None = None
        super().__init__(data_root, split, **kwargs)
        self._metainfo.update(split_by=split_by)

    def load_referents(self) -> list[dict]:
        """Read the refs of the split and look up their images and annotations."""
        refs_file, instances_file = self._files()
        refs = self._refs(refs_file)
        with suppress(InputError):  # of an image in another split; images_by_split itself will say it
            self._images = self._images_of(refs, refs_file)
        refs = self._of_split(refs, refs_file)
        # What is of another type is refused when its ref is parsed.
        ann_ids = {key_of(ann_id) for ref in refs for ann_id in self._ann_ids(ref)
                   if isinstance(ann_id, str) or is_int64(ann_id)}
        instances = InstancesFile(instances_file, ann_ids, self.ANN_ID_TYPE)
        room, said = _Room(refs_file), _Said(refs_file)

        def parse(ref: dict) -> dict:
            referent = self._referent(ref, instances, refs_file, room)
            said.add(referent)
            return referent

        return self.parse_each(refs, parse)

    def objects(self) -> dict[str, list[AnnotatedObject]]:
        """What is annotated on the images of this split, by their ids' keys: all of ``instances.json`` but crowds."""
        found: dict[str, list[AnnotatedObject]] = {key_of(referent['image_id']): [] for referent in self.referents()}
        instances = InstancesFile(self._files()[1], ann_id_type=self.ANN_ID_TYPE, image_ids=found)
        for annotation in instances.annotations.values():
            image_id, category_id = (instances.field(annotation, key, int) for key in ('image_id', 'category_id'))
            if key_of(image_id) in found and not annotation.get('iscrowd'):
                outline = self._united(instances.outline(annotation))
                found[key_of(image_id)].append(AnnotatedObject(annotation['id'], category_id, outline))
        return found

    def image_key(self, referent: Mapping) -> str:
        """Source and id of the image."""
        return f'{self._image_source}/{referent["image_id"]}'

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split in the refs file."""
        if self._images is None:
            refs_file = self._files()[0]
            self._images = self._images_of(self._refs(refs_file), refs_file)
        return self._images

    def object_categories(self) -> tuple[dict[str, str], dict[str, set[str]]]:
        """Categories of all annotations of ``instances.json``, crowds included; empty where it names none."""
        return object_categories(self._files()[1])

    @property
    def title(self) -> str:
        """Folder and author of the splits."""
        return f'{self.data_root} ({self.split_by})'

    def _files(self) -> tuple[Path, Path]:
        """The refs file and instances.json, which are there."""
        root, images = Path(self.data_root), Path(self.data_prefix['img_path'])
        refs_file, instances_file = root / self.REFS_FILE.format(split_by=self.split_by), root / 'instances.json'
        for path, exists in ((root, root.is_dir()), (instances_file, instances_file.is_file()),
                             (refs_file, refs_file.is_file()), (images, images.is_dir())):
            if exists:
                continue
            message = (f'{path} is missing. Expected:\n'
                       f'{root}/\n'
                       f'├── instances.json\n'
                       f'└── {refs_file.name}\n'
                       f'and the images in {images}/\n')
            present = sorted(file.name for file in root.glob(self.REFS_FILE.format(split_by='*')))
            if path == refs_file and present:
                message += f'The folder has {", ".join(present)}: set split_by to what stands between the brackets.'
            else:
                message += f'Set data_root or data_prefix, or get the files by way of {self.SOURCE}.'
            raise MissingInputError(message)
        return refs_file, instances_file

    def _refs(self, path: Path) -> list[dict]:
        """All refs of the file, each of which is a dictionary with a split."""
        refs = self._read_refs(path)
        if not isinstance(refs, list):
            raise InputError(f'{path} must hold a list of refs, but holds an object of type {type(refs).__name__}: it '
                             'is not a refs file.')
        for index, ref in enumerate(refs):
            get_field(ref, 'split', str, f'{path}: element {index}')
        return refs

    def _images_of(self, refs: list[dict], refs_file: Path) -> dict[str, set[str]]:
        images = defaultdict(set)
        for index, ref in enumerate(refs):
            if self.broken is not None and not is_int64(ref.get('image_id')):
                continue  # it is left out, and described, when the ref is parsed
            image_id = get_field(ref, 'image_id', int, f'{refs_file}: element {index}')
            for split in self._splits(ref):
                images[split].add(self.image_key({'image_id': image_id}))
        return dict(images)

    def _of_split(self, refs: list[dict], refs_file: Path) -> list[dict]:
        counts = Counter(split for ref in refs for split in self._splits(ref))
        if self.split not in counts:
            known = sorted(counts.items())[:_SHOWN]
            present = ', '.join(f'{split[:80]!r} ({count} refs)' for split, count in known)
            raise InputError(f'{refs_file} has no split {self.split!r}. It has: {present or "no ref at all"}.')
        return [ref for ref in refs if self.split in self._splits(ref)]

    def _referent(self, ref: dict, instances: InstancesFile, refs_file: Path, room: _Room) -> dict:
        ref_id = get_field(ref, 'ref_id', int, f'{refs_file}: a ref of split {self.split!r}')
        where = f'{refs_file}: ref_id {ref_id}'
        image = instances.image(get_field(ref, 'image_id', int, where), where)
        return {
            **instances.describe_image(image, self.data_prefix['img_path']),
            'ref_id': ref_id,
            **self._target(ref, image['id'], instances, where),
            'sentences': _sentences(ref, room, where),
        }

    # What the sub-classes' files have otherwise:

    def _read_refs(self, path: Path) -> Any:
        """What the refs file holds."""
        return load_refer_pickle(path)

    def _splits(self, ref: dict) -> list[str]:
        """The splits that a ref belongs to."""
        return [ref['split']]

    def _ann_ids(self, ref: dict) -> list:
        """Ids of the annotations of a ref, of which nothing is checked."""
        # A list, which doesn't belong here, a pickle could repeat in every ref: it would take hours to go through.
        return [ref.get('ann_id')]

    def _united(self, outline: list | dict) -> list | dict:
        """An outline of ``instances.json`` as :func:`~mmrefseg.structures.mask_formats.draw_mask` takes it."""
        return outline

    def _target(self, ref: dict, image_id: int, instances: InstancesFile, where: str) -> dict:
        """What a ref refers to on its image: ``segmentation``, ``ann_id`` and ``category_id``."""
        annotation = instances.annotation(get_field(ref, 'ann_id', self.ANN_ID_TYPE, where), image_id, where)
        return {
            'segmentation': self._united(instances.outline(annotation)),
            'ann_id': annotation['id'],
            'category_id': get_field(ref, 'category_id', int, where),
        }


class _Said:
    """Sentences by their ids, which tell predictions apart: an id that means two things is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._meanings: dict[str, tuple[int, str, str]] = {}

    def add(self, referent: dict) -> None:
        ref_id = referent['ref_id']
        meanings = {}
        for sentence in referent['sentences']:
            key, meaning = key_of(sentence['sent_id']), (ref_id, sentence['text'], sentence['kind'])
            other = meanings.setdefault(key, self._meanings.get(key, meaning))
            if other != meaning:
                raise InputError(f'{self._path}: sent_id {key} of ref_id {ref_id} is that of another sentence, too (of '
                                 f'ref_id {other[0]}), but must mean one. Get the file again, or give each an id of '
                                 'its own.')
        self._meanings.update(meanings)


class _Room:
    """What a file's sentences may take: a few times its own size, and a mebibyte.

    A pickle can hold a list of long sentences once, and repeat it in a million refs; memory would not suffice.
    """

    SENTENCE = 64  # bytes, beside its text

    def __init__(self, path: Path) -> None:
        self._left = 2**20 + 4 * path.stat().st_size

    def take(self, size: int, where: str) -> None:
        self._left -= size
        if self._left < 0:
            raise InputError(f'{where}: the sentences up to here are far larger than the file, which repeats them over '
                             'and over. It may be malicious; get the official one.')


def _sentences(ref: dict, room: _Room, where: str) -> list[dict]:
    elements = get_field(ref, 'sentences', list, where)
    room.take(len(elements) * room.SENTENCE, where)
    sentences = []
    for element in elements:
        sent_id = get_field(element, 'sent_id', int, f'{where}: a sentence')
        text = get_field(element, 'sent', str, f'{where}, sent_id {sent_id}')
        kind = get_field(element, 'kind', str, f'{where}, sent_id {sent_id}') if 'kind' in element else ''
        room.take(len(text) + len(kind), where)
        sentences.append({'text': text, 'sent_id': sent_id, 'kind': kind})
    return sentences
