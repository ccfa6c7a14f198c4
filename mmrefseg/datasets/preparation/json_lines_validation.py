"""Checking of JSON Lines that users wrote."""
from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rich.progress import track

from mmrefseg.errors import InputError
from mmrefseg.utils.worker_processes import ordered_map

from ..coordinate_units import CoordinateUnits
from ..importing.format_recognition import FORMAT_TITLES, recognise
from ..json_line_format import iterate_lines
from ..json_lines import OwnLines
from ..prepared_folder import ANNOTATIONS, IMAGES
from .checked_images import ImageTask, check_image
from .file_catalogue import FileLocation

_TABLES = ('.csv', '.tsv', '.parquet')


def validate(file: str | Path, image_dir: str | Path | None = None, workers: int = 1,
             show_progress: bool = False, ignore_orientation: bool = False) -> tuple[int, list[str]]:
    """Check every line of a file of :class:`JSONLinesDataset`, every image and every mask.

    Args:
        file: the file; masks in PNGs are relative to its folder, or if that is called ``annotations`` to the folder
            above.
        image_dir: folder of the images. Default None, ``images`` beside the masks.
        workers: processes. Default 1, this very process.
        show_progress: show a progress bar. Default False.
        ignore_orientation: whether masks were made on the images as they are stored, where a line does not say it.
            Default False.

    Returns:
        The number of lines, and what is wrong, in the order of the lines.

    Raises:
        FileError: the file cannot be read.
        InputError: a line is endless, or the file is of another kind, such as one JSON document or a picture.
    """
    file = Path(file)
    _refuse_other_kinds(file)
    folder = file.absolute().parent
    data_root = folder.parent if folder.name == ANNOTATIONS else folder
    reader = OwnLines(file, str(image_dir or data_root / IMAGES), str(data_root), ignore_orientation=ignore_orientation)
    units = CoordinateUnits()
    images, troubles, number_of_lines = defaultdict(dict), {}, 0
    for number, line in iterate_lines(file):
        number_of_lines += 1
        try:
            referent = reader.parse(number, line)
            units.check(referent, f'{file}, line {number}')
            images[referent['img_path']][number] = referent
        except InputError as error:
            troubles[number] = str(error)
    tasks = (ImageTask('', FileLocation(path), of_image) for path, of_image in images.items())
    with ordered_map(workers) as map_over_workers:
        for image in track(map_over_workers(check_image, tasks), 'images', len(images), disable=not show_progress):
            troubles.update((number, f'{file}, line {number}: {trouble}') for number, trouble in image.broken.items())
    found = [troubles[number] for number in sorted(troubles)]
    try:
        units.check_all(str(file))
    except InputError as error:
        found.append(str(error))
    return number_of_lines, found


def _refuse_other_kinds(file: Path) -> None:
    """Tell what a file is that cannot be JSON Lines, once, instead of once per line."""
    kind = recognise(file)
    # The first line may just be broken: what might still be lines is told line by line.
    may_be_lines = kind == 'jsonl' or kind.startswith(('JSON', 'text', 'an empty file', 'a binary'))
    if may_be_lines or (kind == 'table' and file.suffix.lower() not in _TABLES):
        return
    mend = 'Name a file of annotations.'
    if kind in FORMAT_TITLES:
        kind, mend = FORMAT_TITLES[kind], f'Import it: mmrefseg import {kind} {file} --out DIR.'
    raise InputError(f'{file} is {kind}, not JSON Lines (one object with image, mask and expression per line). {mend}')
