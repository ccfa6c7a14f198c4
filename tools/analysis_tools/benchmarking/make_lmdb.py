"""Small LMDB data sets, written for tests and measurements without a whole preparation."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mmrefseg.datasets.json_line_format import LineIndex
from mmrefseg.datasets.prepared_folder import LMDB, index_of
from mmrefseg.datasets.refer_lmdb import write_split
from mmrefseg.utils.lmdb_file import IMAGE_PREFIX, LMDBWriter


def write_lmdb(root: str | Path, split: str, lines: Sequence[bytes], images: Iterable[tuple[str, bytes]] = ()) -> None:
    """Write what :class:`~mmrefseg.datasets.ReferringLMDBDataset` reads.

    Args:
        root: the folder, which is there.
        split: the split's name.
        lines: of :func:`~mmrefseg.datasets.json_line_format.line_of`, with ``image_key``.
        images: names and files of the images. Default none.
    """
    lines_file = Path(root, f'{split}.jsonl')
    lines_file.write_bytes(b''.join(lines))
    index_of(lines_file).write_bytes(LineIndex.of(lines).to_json())
    writer = LMDBWriter(Path(root, LMDB))
    for name, content in images:
        writer.write([(IMAGE_PREFIX + name, content)])
    write_split(writer, split, lines_file)
    writer.finish({'splits': {split: {}}})
