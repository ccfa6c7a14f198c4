"""Reading a prepared data set from end to end."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.markup import escape
from rich.progress import track

from mmrefseg.errors import InputError, UserError
from mmrefseg.utils.files import MAX_JSON_BYTES, read_regular, sha256_of
from mmrefseg.utils.lmdb_file import check_content
from mmrefseg.utils.worker_processes import ordered_map

from ..base_referring_dataset import BaseReferringDataset
from ..json_line_format import decode_line
from ..json_lines import JSONLinesDataset
from ..prepared_folder import ANNOTATIONS, LMDB, check_finished, checksums_of
from ..refer_lmdb import ReferringLMDBDataset
from .checked_images import ImageTask, check_image
from .file_catalogue import FileLocation
from .preparing import read_manifest


def verify(out_dir: str | Path, workers: int = 1, show_progress: bool = False) -> list[str]:
    """Read a prepared data set again: every checksum, every image, every mask, all counts.

    Args:
        out_dir: its folder.
        workers: processes. Default 1, this very process.
        show_progress: show progress bars. Default False.

    Returns:
        What is wrong; nothing if all is well.

    Raises:
        MissingInputError: the folder holds no prepared data set.
        InputError: its manifest is damaged, or the preparation not finished.
    """
    out_dir = Path(out_dir)
    check_finished(out_dir)
    manifest = read_manifest(out_dir)
    # First of all, and no further if it fails: LMDB trusts the pages of its file.
    if troubles := list(_check_files(out_dir, manifest['files'])):
        return troubles
    if manifest['lmdb']:
        try:
            check_content(out_dir / LMDB)
        except InputError as error:
            return [str(error)]
    troubles = []
    with ordered_map(workers) as map_over_workers:
        for split, counts in manifest['splits'].items():
            if manifest['lmdb']:
                dataset = ReferringLMDBDataset(str(out_dir), split, lazy_init=True)
            else:
                dataset = JSONLinesDataset(str(out_dir), split, lazy_init=True)
            try:
                troubles += _check_split(dataset, counts, map_over_workers, show_progress)
            except UserError as error:
                troubles.append(str(error))
    return troubles


def _check_files(out_dir: Path, files: dict[str, str]) -> Iterator[str]:
    for name, expected in files.items():
        path = out_dir / name
        if not path.is_file():
            yield f'{path} is missing'
        elif sha256_of(path) != expected:
            yield f'{path} was changed: its SHA-256 is not the one in the manifest'


def _check_split(dataset: BaseReferringDataset, counts: dict[str, int], map_over_workers: Callable,
                 show_progress: bool) -> Iterator[str]:
    referents = dataset.referents()
    images, keys, num_expressions = defaultdict(list), set(), 0
    for idx, referent in enumerate(referents):
        images[referent['img_path']].append(idx)
        keys.add(dataset.image_key(referent))
        num_expressions += len(referent['sentences'])
    checksums_file = checksums_of(Path(dataset.data_root, ANNOTATIONS, f'{dataset.split}.jsonl'))
    checksums = decode_line(read_regular(checksums_file, MAX_JSON_BYTES), str(checksums_file))
    tasks = (ImageTask(path.removeprefix(f'{referents.image_folder}/'), FileLocation(path),
                       {idx: referents[idx] for idx in indices}) for path, indices in images.items())
    for image in track(map_over_workers(check_image, tasks), escape(f'verify {dataset.split:>8}'), len(images),
                       disable=not show_progress):
        if image.sha256 and image.sha256 != checksums.get(image.name):
            yield (f'{referents.image_folder}/{image.name} was changed: its SHA-256 is not the one in '
                   f'{checksums_file}')
            continue
        yield from (f'{dataset.data_root}: split {dataset.split}, line {idx + 1}: {trouble}'
                    for idx, trouble in image.broken.items())
    found = {'refs': len(referents), 'images': len(images), 'expressions': num_expressions}
    for what, number in found.items():
        if number != counts[what]:
            yield (f'{dataset.data_root}: split {dataset.split} has {number} {what}, but {counts[what]} by the '
                   'manifest')
    if keys != dataset.images_by_split()[dataset.split]:
        yield f'{dataset.data_root}: the index of split {dataset.split} does not name the images of its referents'
