"""Reading Parquet of others, a small file of which can unfold to more than any memory. Needs pyarrow."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from mmrefseg.errors import InputError

if TYPE_CHECKING:  # an optional package
    from pyarrow import Array, RecordBatch

MAX_ROWS = 1 << 22
"""Rows of a file; that many with a picture each would be terabytes."""

MAX_UNFOLDED_BYTES = 1 << 32
"""Bytes that a file's columns unfold to, values that repeat counted once; Hugging Face's files have half a gigabyte."""

MAX_VALUES = 1 << 26
"""Values in a group of rows, such as the coordinates of all polygons."""

MAX_AT_ONCE = 1 << 31
"""Bytes of the rows that are in memory at a time, with all repetitions."""

_ROWS = 64


def bounded_batches(file: BinaryIO) -> Iterator[RecordBatch]:
    """A few rows at a time, of whose size the file's own description and their encoding are looked at first.

    Args:
        file: the open file.

    Raises:
        InputError: it is too large, or a few of its rows are, as the same long value in each of a million is.
        ImportError: pyarrow isn't installed.
        pyarrow.ArrowException: it is damaged.
    """
    from pyarrow import parquet

    metadata = parquet.read_metadata(file)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [[group.column(i) for i in range(metadata.num_columns)] for group in groups]
    values = max((sum(column.num_values for column in group) for group in columns), default=0)
    size = sum(column.total_uncompressed_size for group in columns for column in group)
    for found, most, what in ((metadata.num_rows, MAX_ROWS, 'rows'), (size, MAX_UNFOLDED_BYTES, 'bytes'),
                              (values, MAX_VALUES, 'values in a group of rows')):
        if found > most:
            raise InputError(f'it unfolds to {found} {what}; at most {most} are read. Split it into several files')
    texts = {column.path_in_schema for group in columns for column in group if column.physical_type == 'BYTE_ARRAY'}
    # Values that repeat stay one until they were counted.
    reader = parquet.ParquetFile(file, metadata=metadata, read_dictionary=sorted(texts))
    for batch in reader.iter_batches(_ROWS):
        if (size := sum(map(_unfolded, batch.columns))) > MAX_AT_ONCE:
            raise InputError(f'{len(batch)} of its rows have {size} bytes; at most {MAX_AT_ONCE} are read at once')
        yield batch


def _unfolded(array: Array) -> int:
    """Bytes of an array's values; of repeated ones at most so many if these are few."""
    from pyarrow import compute, types

    if types.is_dictionary(array.type):
        most = len(array) * array.dictionary.nbytes
        if most <= MAX_AT_ONCE:
            return most
        lengths = compute.binary_length(array.dictionary)
        return compute.sum(lengths.take(array.indices)).as_py() or 0
    if types.is_struct(array.type):
        return sum(map(_unfolded, array.flatten()))
    if types.is_map(array.type):
        return _unfolded(array.keys) + _unfolded(array.items)
    if types.is_nested(array.type):
        return _unfolded(array.flatten())
    return array.nbytes
