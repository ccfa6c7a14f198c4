"""Preparing one split of a data set."""
from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.markup import escape
from rich.progress import track

from mmrefseg.errors import InputError, UserError
from mmrefseg.utils.files import read_json, write_atomically
from mmrefseg.utils.lmdb_file import IMAGE_PREFIX, LMDBWriter

from ..base_referring_dataset import BaseReferringDataset
from ..json_line_format import LineIndex
from ..json_lines import JSONLinesDataset
from ..prepared_folder import ANNOTATIONS, IMAGES, checksums_of, index_of
from .checked_images import ImageTask, check_image
from .file_catalogue import FileLocation
from .recipes import SplitSize
from .sources import Source


def _read_summary(path: Path) -> dict:
    """What was noted of a split that is finished, so that a preparation that goes on needn't do it again."""
    mend = 'Remove it, and prepare again.'
    summary = read_json(path, mend=mend)
    kinds = dict(counts=dict, broken=list, warnings=list)
    if not isinstance(summary, dict) or not all(isinstance(summary.get(key), kind) for key, kind in kinds.items()):
        raise InputError(f'{path} is no summary of a split. {mend}')
    return summary


class SplitPreparation:
    """Checks a split and writes its annotations; its images go into an LMDB file, or are linked to.

    Args:
        source: the data set's files.
        split: name of the split.
        work_dir: folder for everything unfinished.
        writer: the LMDB file; None if there is none to be.
        counts: what the split must hold, if that is known.
    """

    def __init__(self, source: Source, split: str, work_dir: Path, writer: LMDBWriter | None,
                 counts: SplitSize | None) -> None:
        self._source = source
        self._split = split
        self._work_dir = work_dir
        self._writer = writer
        self._counts = counts or SplitSize(None, None, None)
        self._lines: dict[int, bytes] = {}
        self._checksums: dict[str, str] = {}
        self._broken: list[str] = []
        self._skip_broken = False

    def run(self, map_over_workers: Callable, skip_broken: bool, show_progress: bool) -> dict:
        """Prepare the split unless it is finished.

        Args:
            map_over_workers: called as ``map`` is.
            skip_broken: whether to leave broken entries out.
            show_progress: show a progress bar.

        Returns:
            ``counts`` (of ``refs``, ``images``, ``expressions`` and ``broken``), ``broken`` and ``warnings``.

        Raises:
            MissingInputError: all images are missing.
            InputError: an entry is broken and must not be left out, or the split holds too little or too much.
        """
        lines_file = self._work_dir / ANNOTATIONS / f'{self._split}.jsonl'
        finished = self._work_dir / f'{self._split}.finished.json'
        if finished.exists() and lines_file.exists():
            summary = _read_summary(finished)
            if skip_broken or not summary['broken']:
                return summary
        finished.unlink(missing_ok=True)
        self._skip_broken = skip_broken
        dataset = self._source.open(self._split)
        dataset.broken = self._broken if skip_broken else None
        names = self._load(dataset)
        locations = self._source.find_images(names)
        tasks = self._tasks(dataset, names, locations)
        results = track(map_over_workers(check_image, tasks), escape(f'{self._split:>8}'), len(locations),
                        disable=not show_progress)
        images = self._take(results)
        if self._writer:
            self._writer.write(images)
        else:
            for _ in images:
                pass
        index = self._write(lines_file)
        summary = self._summary(index)
        write_atomically(json.dumps(summary).encode(), finished)
        return summary

    def _load(self, dataset: BaseReferringDataset) -> dict[str, list[int]]:
        """Read the annotations: the indices of the referents on each image, by its name."""
        self._referents = dataset.referents()
        self._check_count('refs', len(self._referents) + len(self._broken), self._counts.refs)
        names = defaultdict(list)
        for idx in range(len(self._referents)):
            try:
                names[self._source.image_name(self._referents[idx])].append(idx)
            except InputError as error:
                self._report_broken(idx, str(error))
        if not self._broken:
            self._check_count('images', len(names), self._counts.images)
        return names

    def _tasks(self, dataset: BaseReferringDataset, names: dict[str, list[int]],
               locations: dict[str, FileLocation]) -> Iterator[ImageTask]:
        for name, indices in names.items():
            if name not in locations:
                for idx in indices:
                    self._report_broken(idx, f'its image {name} is not among the files')
                continue
            referents = {}
            for idx in indices:
                referents[idx] = referent = self._referents[idx]
                if not isinstance(dataset, JSONLinesDataset):  # which would read the image for it
                    referent['image_key'] = dataset.image_key(referent)
                try:
                    self._source.bring_mask(referent)
                except UserError as error:
                    self._report_broken(idx, str(error))
                    del referents[idx]
            yield ImageTask(name, locations[name], referents, None if self._writer else self._work_dir / IMAGES / name)

    def _take(self, results: Iterator) -> Iterator[tuple[str, bytes]]:
        """Keep the lines and the broken entries; give what goes into the LMDB file."""
        for image in results:
            for idx, trouble in image.broken.items():
                self._report_broken(idx, trouble)
            self._lines.update(image.lines)
            if image.lines:
                self._checksums[image.name] = image.sha256
            if image.content:
                yield IMAGE_PREFIX + image.name, image.content

    def _write(self, path: Path) -> LineIndex:
        """Write the lines, in the order of the data set, their index, and the checksums of their images."""
        lines = [self._lines.pop(idx) for idx in sorted(self._lines)]
        index = LineIndex.of(lines)
        path.parent.mkdir(exist_ok=True)
        with path.open('wb') as file:
            file.writelines(lines)
            os.fsync(file.fileno())
        write_atomically(index.to_json(), index_of(path))
        write_atomically(json.dumps(self._checksums).encode(), checksums_of(path))
        return index

    def _summary(self, index: LineIndex) -> dict:
        expressions, expected = int(index.num_sentences.sum()), self._counts.expressions
        warnings = []
        if expected not in (None, expressions) and not self._broken:
            warnings.append(f'{self._split} has {expressions} expressions; {expected} are published')
        return {
            'counts': {'refs': len(index.lengths), 'images': len(self._checksums), 'expressions': expressions,
                       'broken': len(self._broken)},
            'broken': self._broken,
            'warnings': warnings,
        }

    def _check_count(self, what: str, found: int, expected: int | None) -> None:
        if expected not in (None, found):
            raise InputError(f'{self._source.data_root}: split {self._split} has {found} {what}, but must have '
                             f'{expected}. The files are incomplete, or those of another data set or version: get '
                             f'them from {self._source.files_from}.')

    def _report_broken(self, idx: int, trouble: str) -> None:
        """Note a broken referent; with none allowed, that ends the preparation."""
        broken = f'{self._source.data_root}: split {self._split}, ref_id {self._referents[idx]["ref_id"]}: {trouble}'
        if not self._skip_broken:
            raise InputError(f'{broken.removesuffix(".")}. Mend it, or leave broken entries out with --skip-broken.')
        self._broken.append(broken)
