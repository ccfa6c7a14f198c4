"""What every data set of referring expressions has in common."""
from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset, force_full_init

from mmrefseg.errors import InputError
from mmrefseg.registry import TRANSFORMS
from mmrefseg.utils.expression_checks import check_expression
from mmrefseg.utils.field_checks import key_of
from mmrefseg.utils.lmdb_file import is_lmdb_address
from mmrefseg.utils.safe_names import refuse_links_out

from .coordinate_units import CoordinateUnits
from .image_sharing import prepare_samples
from .prepared_folder import MANIFEST
from .referent_storage import Referents, ReferentsInMemory
from .seeding import seeded

_ALLOW_LINKS = ', or let the data set follow such links with allow_links_out=True'


class AnnotatedObject(NamedTuple):
    """Something on an image that is outlined.

    Args:
        ann_id: its id, as referents have it.
        category_id: of which kind it is; below 1 where unknown.
        segmentation: its outline, any form of :func:`~mmrefseg.structures.mask_formats.draw_mask`.
    """

    ann_id: int | str
    category_id: int
    segmentation: list | dict


class BaseReferringDataset(BaseDataset, ABC):
    """Images with referring expressions and the outlines of what they refer to.

    A sub-class parses its files in :meth:`load_referents` and :meth:`images_by_split`, and says in :meth:`image_key`
    what makes two images one; samples, checks and memory are taken care of here. A sample is an index into the list of
    referents and one among the referent's expressions, so that nothing is kept twice.

    :meth:`get_data_info` returns ``img_path`` (str), ``height`` and ``width`` (int, pixels), ``segmentation`` (any form
    of :func:`~mmrefseg.structures.mask_formats.draw_mask`), ``image_id``, ``ref_id``, ``ann_id`` and ``category_id``
    (int; in some sets ``ann_id`` is a str), ``ignore_orientation`` (bool), ``sample_idx``, and

    - with ``unit='sentence'``: ``text`` (str), ``sent_id`` (int) and ``kind`` (str, ``''`` where unknown);
    - with ``unit='ref'``: ``sentences``, a list of dictionaries with these three keys.

    Args:
        data_root: folder of the data set.
        split: part of the data set. Default ``'train'``.
        unit: what one sample is: ``'sentence'`` (one expression; testing must use this) or ``'ref'`` (one referent with
            all its expressions, of which ``SampleSentence`` draws one). Default ``'sentence'``.
        data_prefix: ``img_path`` is the folder of the images, absolute or inside ``data_root``. Default None, which
            means ``dict(img_path='images')``.
        ignore_orientation: whether the annotations were made on the images as they are stored. Default None, the
            class's own: False, they were made on the upright images (an EXIF orientation is applied), in users' own
            data, and True in published sets, whose tools never looked at it.
        pipeline: transforms. Default none.
        allow_links_out: whether images and masks may be links to files outside of their folder, as where single images
            of several disks are laid together; a folder may be a link itself in any case. Default None, only in folders
            that ``prepare.py`` made, whose images are such links.
        **kwargs: ``indices``, ``test_mode``, ``lazy_init``, ``metainfo`` and ``max_refetch`` of
            :class:`mmengine.dataset.BaseDataset`.

    Attributes:
        broken: None, and a broken entry is an error; or a list, and broken entries are left out and described there.
            Default None.

    Raises:
        InputError: ``unit`` is neither of the two, or an expression is empty or endless.
    """

    broken: list[str] | None = None
    IGNORE_ORIENTATION = False
    METAINFO: dict = {'classes': ('background', 'referent'), 'palette': [[0, 0, 0], [220, 20, 60]]}

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 unit: Literal['sentence', 'ref'] = 'sentence',
                 data_prefix: dict[str, str] | None = None,
                 pipeline: Sequence[dict | Callable] = (),
                 ignore_orientation: bool | None = None,
                 allow_links_out: bool | None = None,
                 **kwargs) -> None:
        if unit not in ('sentence', 'ref'):
            raise InputError(f"unit must be 'sentence' or 'ref', got {unit!r}")
        if 'serialize_data' in kwargs:
            raise InputError(f'{type(self).__name__} has no setting serialize_data: its samples are one array')
        self.split = split
        self.unit = unit
        self.ignore_orientation = self.IGNORE_ORIENTATION if ignore_orientation is None else ignore_orientation
        self.allow_links_out = Path(data_root, MANIFEST).is_file() if allow_links_out is None else allow_links_out
        self._referents: Referents | None = None
        super().__init__(
            data_root=os.fspath(data_root),
            data_prefix=data_prefix or {'img_path': 'images'},
            # Built from our node, so that our transforms are found where no default scope is set, too.
            pipeline=[TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in pipeline],
            serialize_data=False,  # the samples are one array of numbers
            **kwargs)
        self._metainfo.update(dataset_type=type(self).__name__, split=split)

    @abstractmethod
    def load_referents(self) -> Iterable[dict] | Referents:
        """Parse the files of the data set.

        Returns:
            One for each ref of the split: ``img_path``, ``height``, ``width``, ``segmentation``, ``image_id``,
            ``ref_id``, ``ann_id``, ``category_id`` and ``sentences``, a list of dictionaries with ``text``, ``sent_id``
            and ``kind``. They are checked, but ``Referents`` are taken as they are.
        """

    @abstractmethod
    def image_key(self, referent: Mapping) -> str:
        """A name of the referent's image that no other image has, and that is the same in every data set.

        Args:
            referent: as :meth:`load_referents` gives it.
        """

    @abstractmethod
    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split that the files know, by the split's name; ``train`` is for training."""

    def object_categories(self) -> tuple[dict[str, str], dict[str, set[str]]]:
        """Names of the categories by the key of their id, and these keys of all objects by the key of the image's id.

        Keys are those of :func:`~mmrefseg.utils.field_checks.key_of`. Both are empty where the files don't name the
        category of every object, as here.
        """
        return {}, {}

    def splits(self) -> list[str]:
        """Names of the splits that the files know."""
        return list(self.images_by_split())

    @property
    def title(self) -> str:
        """What messages call the data set, whatever the split."""
        return self.data_root

    def images(self) -> set[str]:
        """Keys of the images of this split.

        Raises:
            InputError: the files know no such split.
        """
        images = self.images_by_split()
        if self.split not in images:
            raise InputError(f'{self.title} has no split {self.split!r}. It has: {", ".join(sorted(images))}.')
        return images[self.split]

    def referents(self) -> Referents:
        """The referents of :meth:`load_referents`, checked; loaded when they are first asked for."""
        if self._referents is None:
            referents = self.load_referents()
            if not isinstance(referents, Referents):
                units = CoordinateUnits()
                checked = self.parse_each(referents, partial(self._check_referent, units=units, seen=set()))
                referents = ReferentsInMemory(checked)
                units.check_all(self.data_root)
            self._referents = referents
        return self._referents

    def objects(self) -> dict[str, list[AnnotatedObject]]:
        """What is annotated on the images of this split, by the key of ``image_id`` (see
        :func:`~mmrefseg.utils.field_checks.key_of`): here, what its expressions refer to.
        """
        found: dict[str, dict[str, AnnotatedObject]] = {}
        for referent in self.referents():
            of_image = found.setdefault(key_of(referent['image_id']), {})
            if referent['segmentation'] is not None:
                ann_id = referent['ann_id']
                of_image[key_of(ann_id)] = AnnotatedObject(ann_id, referent['category_id'], referent['segmentation'])
        return {image_id: list(of_image.values()) for image_id, of_image in found.items()}

    def parse_each(self, elements: Iterable, parse: Callable[[Any], dict]) -> Iterator[dict]:
        """Parse a file's elements one by one; what to do with a broken one, ``broken`` says.

        Args:
            elements: the elements.
            parse: makes a referent of an element, or raises ``InputError``.

        Yields:
            What ``parse`` made.

        Raises:
            InputError: an element is broken and ``broken`` is None.
        """
        for element in elements:
            try:
                referent = parse(element)
            except InputError as error:
                if self.broken is None:
                    raise
                self.broken.append(str(error))
            else:
                yield referent

    def _check_referent(self, referent: dict, units: CoordinateUnits, seen: set[str]) -> dict:
        """The referent with what every one has, if nothing about it is wrong."""
        _refuse_repeated(referent['ref_id'], seen, self.data_root)
        units.check(referent, f'{self.data_root}: ref_id {referent["ref_id"]}')
        return {'ignore_orientation': self.ignore_orientation, **_check_expressions(referent, self.data_root)}

    def load_data_list(self) -> np.ndarray:
        """Load the referents and number the samples.

        Returns:
            (N, 2) integers for N samples: the referent's index among the referents, and the expression's among those of
            the referent (0 with ``unit='ref'``).
        """
        numbers = self.referents().num_sentences
        if self.unit == 'ref':
            return np.stack([np.arange(len(numbers)), np.zeros_like(numbers)], axis=1)
        of_referent = np.repeat(np.arange(len(numbers)), numbers)
        firsts = np.cumsum(numbers) - numbers
        return np.stack([of_referent, np.arange(len(of_referent)) - firsts[of_referent]], axis=1)

    def __getitem__(self, idx: int) -> dict:
        """The sample after the pipeline, which draws by the seed of ``idx`` if it has one (see the samplers)."""
        with seeded(idx):
            return super().__getitem__(int(idx))

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """Several samples, as PyTorch's data loader asks for them: each image is read and prepared once, where the
        pipeline allows it (see :func:`~mmrefseg.datasets.image_sharing.split_pipeline`).
        """
        return prepare_samples(self, indices, self.pipeline.transforms)

    @force_full_init
    def image_numbers(self) -> np.ndarray:
        """(N,) integers: samples of one image have the same, counted in the order of their first samples."""
        used, inverse = np.unique(np.asarray(self.data_list)[:, 0], return_inverse=True)
        paths = [self._referents[referent]['img_path'] for referent in used]
        path_of = [paths[i] for i in inverse]
        numbers = {path: number for number, path in enumerate(dict.fromkeys(path_of))}
        return np.array([numbers[path] for path in path_of], np.int64)

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Everything that is known of one sample, as the pipeline receives it."""
        referent, sentence = self.data_list[idx]
        info = self._referents[referent]
        self.check_links(info)
        if self.unit == 'sentence':
            info.update(info.pop('sentences')[sentence])
        info.setdefault('image_folder', self.data_prefix['img_path'])
        info['sample_idx'] = idx if idx >= 0 else len(self) + idx
        return info

    def check_links(self, referent: Mapping) -> None:
        """Refuse a referent whose image or mask is a link to a place outside, unless such links are allowed.

        Args:
            referent: as :meth:`load_referents` gives it.

        Raises:
            InputError: it is; names the link and its target.
        """
        if self.allow_links_out:
            return
        if not is_lmdb_address(referent['img_path']):
            refuse_links_out(referent['img_path'], self.data_prefix['img_path'], _ALLOW_LINKS)
        mask = referent['segmentation']
        if isinstance(mask, dict) and 'file' in mask:
            refuse_links_out(mask['file'], self.data_root, _ALLOW_LINKS)


def _refuse_repeated(ref_id: int, seen: set[str], data_root: str) -> None:
    """Predictions are told apart by these ids."""
    if (key := key_of(ref_id)) in seen:
        raise InputError(f'{data_root}: ref_id {ref_id} occurs twice, but an id must mean one ref. Get the file again, '
                         'or remove one of them.')
    seen.add(key)


def _check_expressions(referent: dict, data_root: str) -> dict:
    if not referent['sentences']:
        raise InputError(f'{data_root}: ref_id {referent["ref_id"]} has no expression. Remove the ref or write one.')
    for sentence in referent['sentences']:
        check_expression(sentence['text'], f'{data_root}: ref_id {referent["ref_id"]}, sent_id {sentence["sent_id"]}')
        if not sentence['text'].strip():
            raise InputError(f'{data_root}: ref_id {referent["ref_id"]}, sent_id {sentence["sent_id"]}: the expression '
                             'is empty. It must hold at least one character that is not blank: remove the sentence or '
                             'mend it.')
    return referent
