"""Prepared data sets in one LMDB file: images, referents and nothing that needs to be executed."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.lmdb_file import LMDBWriter, image_address, read_lmdb_header, read_value

from .base_referring_dataset import BaseReferringDataset
from .json_line_format import LONGEST_LINE, LineIndex, ReferentsOfLines
from .prepared_folder import LMDB, check_finished, index_of
from .referent_storage import Referents


@DATASETS.register_module()
class ReferringLMDBDataset(BaseReferringDataset):
    """A data set that ``tools/dataset_converters/prepare.py --lmdb`` made; it needs no other file.

    The file holds each image once, as the original file has it (``images/<name>``), each referent as a line of
    :class:`JSONLinesDataset` with its mask as an RLE (``refs/<split>/<number>``), and for each split what is needed to
    open it at once (``index/<split>``). It is opened by every process that reads it, when it first does; any number
    may, and it may lie on a read-only file system. ``img_path`` of a sample is an address that
    :class:`LoadReferringImage` understands.

    Args:
        data_root: folder of the file ``data.lmdb``.
        split: part of the data set. Default ``'train'``.
        **kwargs: ``unit``, ``pipeline`` and more of :class:`BaseReferringDataset`, but not ``data_prefix``
            and ``ignore_orientation``.

    Raises:
        MissingInputError: the file is missing.
        InputError: the file is damaged, of another version or no LMDB file, or the split is unknown.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs) -> None:
        if refused := {'data_prefix', 'ignore_orientation'} & kwargs.keys():
            raise InputError('ReferringLMDBDataset has its images within itself, and what they were annotated on: '
                             f'leave {" and ".join(sorted(refused))} out')
        super().__init__(data_root, split, **kwargs)

    def load_referents(self) -> Referents:
        """Open the split in the LMDB file; its referents are read when they are asked for."""
        splits = self._splits()
        if self.split not in splits:
            raise InputError(f'{self._file} has no split {self.split!r}. It has: {", ".join(splits)}.')
        return _ReferentsInLMDB(self._file, self.split)

    def image_key(self, referent: Mapping) -> str:
        """As the original data set had it."""
        return referent['image_key']

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split in the file."""
        return {split: set(_read_index(self._file, split).images) for split in self._splits()}

    @property
    def _file(self) -> Path:
        return Path(self.data_root, LMDB)

    def _splits(self) -> list[str]:
        check_finished(self.data_root)
        return list(get_field(read_lmdb_header(self._file), 'splits', dict, f'{self._file}, header'))


class _ReferentsInLMDB(ReferentsOfLines):
    """The referents of one split in an LMDB file."""

    def __init__(self, file: Path, split: str) -> None:
        super().__init__(_read_index(file, split), f'{file}, split {split!r}', image_address(file))
        self._file = file
        self._split = split

    def line(self, idx: int) -> bytes:
        key = _ref_key(self._split, idx)
        content = read_value(self._file, key, LONGEST_LINE)
        if content is None:
            raise InputError(f'{self._file} lacks {key}. Copy it again, or prepare the data set again.')
        return content


def write_split(writer: LMDBWriter, split: str, lines_file: Path) -> None:
    """Add a split to an LMDB file.

    Args:
        writer: the file.
        split: name of the split.
        lines_file: a complete line for each referent; its index lies beside it.
    """
    with lines_file.open('rb') as lines:
        writer.write((_ref_key(split, idx), line) for idx, line in enumerate(lines))
    writer.write([(f'index/{split}', index_of(lines_file).read_bytes())])


def _ref_key(split: str, idx: int) -> str:
    return f'refs/{split}/{idx:08d}'


def _read_index(file: Path, split: str) -> LineIndex:
    key = f'index/{split}'
    return LineIndex.from_json(read_value(file, key) or b'', f'{file}, {key}')
