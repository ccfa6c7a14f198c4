"""Users' own data, and prepared annotations, in JSON Lines."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from mmrefseg.errors import InputError, MissingInputError, UserError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import get_field, key_of
from mmrefseg.utils.files import MAX_IMAGE_BYTES, MAX_JSON_BYTES, open_regular, read_regular, sha256_of
from mmrefseg.utils.image_header import read_image_size

from .base_referring_dataset import BaseReferringDataset
from .json_line_format import (
    LineIndex,
    ReferentsOfLines,
    check_mask,
    decode_line,
    get_relative_path,
    iterate_lines,
    referent_of,
)
from .prepared_folder import LMDB, check_finished, index_of
from .referent_storage import Referents

_ANN_FILE = 'annotations/{split}.jsonl'


@DATASETS.register_module()
class JSONLinesDataset(BaseReferringDataset):
    """Referents in JSON Lines, a file for each split::

        data_root/
        ├── images/                  the images, in whatever folders
        └── annotations/train.jsonl  one referent per line, in UTF-8

    A line is an object with

    - ``image`` (str): path of the image below ``images``;
    - ``expression`` (str) or ``expressions`` (list[str]): what people say of the referent;
    - ``mask``: a COCO RLE (``{"size": [H, W], "counts": ...}``), COCO polygons (``[[x1, y1, x2, y2, ...], ...]``), the
      path of a PNG below ``data_root`` (0 is outside; see :func:`~mmrefseg.structures.mask_files.file_to_mask`), or
      null, if the expression refers to nothing;
    - if you like: ``height`` and ``width`` (int, pixels; else read from the image), ``ignore_orientation`` (bool; true
      if the mask was made on the image as it is stored, and not on the upright one that viewers show where an EXIF
      orientation says so; else the data set's), ``image_id``, ``ref_id`` and ``category_id`` (int), ``ann_id`` (int or
      str), ``sent_ids`` (list[int]) and ``kinds`` (list[str]), one for each expression, and ``image_key`` (str), which
      names the image in all data sets: ``coco/<id>`` for one of COCO's, so that no image is trained on that another
      data set tests on. Further keys are passed on,
      but those that a sample gets from the pipeline (``img``, ``text``, ``flip`` and so on) are refused.

    An image without an ``image_key`` has the SHA-256 of its file for one: it is the same in every such data set,
    prepared or not, whatever its name and folder. Where keys are asked for, as mixtures and ``audit_leakage.py`` do,
    these files are read once in a process (some seconds for 10,000 of 160 KB); prepared annotations hold the keys.

    For example::

        {"image": "a/b.jpg", "expression": "the red cup", "mask": [[2, 2, 12, 2, 12, 12, 2, 12]]}

    Files that ``tools/dataset_converters/prepare.py`` wrote have an index beside them and open at once, whatever their
    size; a line is read when its sample is. Other files are read, and the shape of every line is checked, here;
    ``tools/dataset_converters/validate_jsonl.py`` opens every image and draws every mask besides.

    Args:
        data_root: folder of the data set.
        split: part of the data set. Default ``'train'``.
        ann_file: the files of the splits, inside ``data_root``; ``{split}`` stands for a split's name. Default
            ``'annotations/{split}.jsonl'``.
        **kwargs: ``unit``, ``data_prefix``, ``pipeline`` and more of :class:`BaseReferringDataset`.

    Attributes:
        size_of: reads height and width of the image at an ``img_path``, of the stored one if its second argument is
            True. Default :func:`~mmrefseg.utils.image_header.read_image_size`.

    Raises:
        MissingInputError: a folder or file is missing.
        InputError: a line is not as above, or the index does not fit the file.
    """

    size_of: Callable[[str, bool], tuple[int, int]] = staticmethod(read_image_size)

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 ann_file: str = _ANN_FILE,
                 **kwargs) -> None:
        if '{split}' not in ann_file:
            raise InputError(f"ann_file must hold {{split}}, as in 'annotations/{{split}}.jsonl', got {ann_file!r}")
        self._ann_pattern = ann_file
        super().__init__(data_root, split, **kwargs)

    def load_referents(self) -> Iterator[dict] | Referents:
        """Open the prepared file of the split, or read a hand-written one."""
        files, images = self._files(), Path(self.data_prefix['img_path'])
        if self.split not in files:
            raise MissingInputError(f'{self._file(self.split)} is missing. {self.data_root} has the splits: '
                                    f'{", ".join(sorted(files)) or "none"}. Set split, ann_file or data_root.')
        if not images.is_dir():
            mend = (f'The images are in {LMDB}: use ReferringLMDBDataset.' if Path(self.data_root, LMDB).exists() else
                    'Put them there, or set data_prefix=dict(img_path=...) to the folder which holds them.')
            raise MissingInputError(f'The folder {images} of the images is missing. {mend}')
        file = files[self.split]
        if index_of(file).is_file():
            return _ReferentsOfFile(file, str(images))
        reader = OwnLines(file, str(images), self.data_root, self.size_of, self.ignore_orientation)
        return self.parse_each(iterate_lines(file), lambda line: reader.parse(*line))

    def image_key(self, referent: Mapping) -> str:
        """What the line says; else that of the image's content, which is read; raises UserError if it cannot be."""
        return referent.get('image_key') or _key_of_file(referent['img_path'])

    def splits(self) -> list[str]:
        """Names of the splits that ``ann_file`` finds."""
        return list(self._files())

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split that ``ann_file`` finds."""
        return {split: set(self._image_keys(file)) for split, file in self._files().items()}

    @property
    def title(self) -> str:
        """The folder, and the files' pattern where it is a user's own."""
        return self.data_root if self._ann_pattern == _ANN_FILE else f'{self.data_root} ({self._ann_pattern})'

    def _image_keys(self, file: Path) -> Iterator[str]:
        if index_of(file).is_file():
            yield from _read_index(file).images
            return
        lines = iterate_lines(file)
        for image in self.parse_each(lines, lambda line: self._image_of(line[1], f'{file}, line {line[0]}')):
            yield self.image_key(image)

    def _image_of(self, line: bytes, where: str) -> dict:
        element = decode_line(line, where)
        name = _name_of_image(element, where)
        return {**element, 'img_path': f'{self.data_prefix["img_path"]}/{name}'}

    def _file(self, split: str) -> Path:
        return Path(self.data_root, self._ann_pattern.replace('{split}', split))

    def _files(self) -> dict[str, Path]:
        """The files of all splits."""
        check_finished(self.data_root)
        before, after = self._ann_pattern.split('{split}')
        files = sorted(file for file in Path(self.data_root).glob(f'{before}*{after}')
                       if not file.name.startswith('._'))  # as macOS writes them onto foreign disks
        start = len(str(self._file(''))) - len(after)
        return {str(file)[start:len(str(file)) - len(after)]: file for file in files}


def _read_index(lines: Path) -> LineIndex:
    path = index_of(lines)
    return LineIndex.from_json(read_regular(path, MAX_JSON_BYTES), str(path))


class _ReferentsOfFile(ReferentsOfLines):
    """Referents in a file with an index."""

    def __init__(self, path: Path, image_folder: str) -> None:
        index = _read_index(path)
        super().__init__(index, str(path), image_folder)
        self._bounds = np.concatenate([[0], np.cumsum(index.lengths)])
        if (size := path.stat().st_size) != self._bounds[-1]:
            raise InputError(f'{path} has {size} bytes, but {index_of(path).name} beside it was made for '
                             f'{self._bounds[-1]}. Prepare the data set again; or delete the index, if you changed the '
                             'file on purpose: it is then read as one of your own.')
        self._file = None

    def line(self, idx: int) -> bytes:
        if self._file is None:
            self._file = open_regular(self.where)
        start, end = self._bounds[idx:idx + 2]
        # Reading at an offset moves nothing that forked processes share, and maps nothing that could be cut off.
        return os.pread(self._file.fileno(), end - start, start)

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_file': None}


class OwnLines:
    """Completes and checks the lines of a file that users wrote.

    Args:
        file: the file, for errors.
        image_folder: folder of the images.
        mask_folder: folder of masks in files.
        size_of: reads height and width of the image at a path, of the stored one if its second argument is True.
            Default ``read_image_size``.
        ignore_orientation: what holds for lines that do not say it. Default False.
    """

    def __init__(self, file: Path, image_folder: str, mask_folder: str,
                 size_of: Callable[[str, bool], tuple[int, int]] = read_image_size,
                 ignore_orientation: bool = False) -> None:
        self._file = file
        self._size_of = size_of
        self._ignore_orientation = ignore_orientation
        self._folders = (image_folder, mask_folder)
        self._image_ids: dict[str, int] = {}
        self._images: dict[str, str] = {}
        self._lines_of_refs: dict[str, int] = {}
        self._next_sent_id = 0

    def parse(self, number: int, line: bytes) -> dict:
        """Make the referent of a line.

        Args:
            number: which line of the file it is, from 1.
            line: its bytes.

        Raises:
            InputError: it is not as documented.
        """
        where = f'{self._file}, line {number}'
        element = decode_line(line, where)
        name = _name_of_image(element, where)
        if 'mask' not in element:
            raise InputError(f"{where}: 'mask' is missing. Write an RLE, polygons or the path of a PNG; or null, if "
                             'the expression refers to nothing.')
        element.setdefault('image_id', self._image_ids.setdefault(name, len(self._image_ids)))
        element.setdefault('ref_id', number)
        element.setdefault('ann_id', element['ref_id'])
        element.setdefault('category_id', 0)
        element.setdefault('ignore_orientation', self._ignore_orientation)
        self._complete_expressions(element, where)
        if 'height' not in element or 'width' not in element:
            self._complete_size(element, name, where)
        referent = referent_of(element, where, *self._folders)
        check_mask(element['mask'], referent['height'], referent['width'], where)
        if not referent['sentences'] or not all(sentence['text'].strip() for sentence in referent['sentences']):
            raise InputError(f'{where}: an expression is empty, or there is none. Write one, or remove the line.')
        other = self._lines_of_refs.setdefault(key_of(referent['ref_id']), number)
        if other != number:
            raise InputError(f'{where}: ref_id {referent["ref_id"]} is that of line {other}, too. Give every line a '
                             'ref_id of its own, or give none.')
        other = self._images.setdefault(key_of(referent['image_id']), name)
        if other != name:
            raise InputError(f'{where}: image_id {referent["image_id"]} is that of the image {other}, too. Give every '
                             'image an image_id of its own, or give none.')
        return referent

    def _complete_size(self, element: dict, name: str, where: str) -> None:
        try:
            element['height'], element['width'] = self._size_of(
                f'{self._folders[0]}/{name}', bool(element['ignore_orientation']))
        except UserError as error:
            raise InputError(f'{where}: height and width are not given, and cannot be read from the image {name}: '
                             f'{str(error).removesuffix(".")}. Mend the path or the image, or write both.') from error

    def _complete_expressions(self, element: dict, where: str) -> None:
        if ('expression' in element) == ('expressions' in element):
            raise InputError(f"{where}: write either 'expression' (a string) or 'expressions' (a list of strings)")
        if 'expression' in element:
            element['expressions'] = [element['expression']]
        number = len(get_field(element, 'expressions', list, where))
        element.setdefault('sent_ids', list(range(self._next_sent_id, self._next_sent_id + number)))
        self._next_sent_id += number


def _name_of_image(element: dict, where: str) -> str:
    if element.get('image_key') is not None:
        get_field(element, 'image_key', str, where)
    return get_relative_path(element, 'image', where)


def key_of_content(sha256: str) -> str:
    """The key of an image that nothing but its content names.

    Args:
        sha256: the SHA-256 of the image's file, in hexadecimal digits.
    """
    return f'sha256:{sha256}'


def _key_of_file(path: str) -> str:
    try:
        with open_regular(path, MAX_IMAGE_BYTES) as file:
            status = os.fstat(file.fileno())
    except MissingInputError:
        raise MissingInputError(f'The image {path} is missing, whose content is its key. Put it there, or write its '
                                'image_key.') from None
    return _key_of_version(path, status.st_mtime_ns, status.st_size)


@lru_cache(1 << 18)
def _key_of_version(path: str, _modified: int, _size: int) -> str:
    return key_of_content(sha256_of(path))
