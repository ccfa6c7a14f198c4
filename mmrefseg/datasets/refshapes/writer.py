"""RefShapes on disk: a folder in the format of RefCOCO or PhraseCut."""
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from rich.progress import track

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.files import check_writable
from mmrefseg.utils.locks import locked_file
from mmrefseg.utils.worker_processes import check_workers, ordered_map

from .file_layouts import PhraseCutLayout, RefCOCOLayout
from .picture import STYLES, PictureTask

REFSHAPES_VERSION = 1
"""Raised whenever the same settings give other files."""

SETTINGS_FILE = 'refshapes.json'
LOCK = '.refshapes.lock'
SMALLEST_SIDE = 64

Layout = RefCOCOLayout | PhraseCutLayout
LAYOUTS: Mapping[str, type[Layout]] = MappingProxyType({'refcoco': RefCOCOLayout, 'phrasecut': PhraseCutLayout})


def _write(folder: Path, layout: Layout, tasks: list[PictureTask], workers: int, show_progress: bool) -> None:
    images = folder / 'images'
    images.mkdir()
    with ordered_map(workers) as map_pictures:
        pictures = map_pictures(layout.make_picture, tasks)
        for task, picture in zip(tasks, track(pictures, 'RefShapes', len(tasks), disable=not show_progress),
                                 strict=True):
            (images / layout.add(picture, task)).write_bytes(picture.jpeg)
    layout.write(folder)


def _check_settings(num_images: Mapping[str, int], splits: Iterable[str], image_size: tuple[int, int], seed: int,
                    workers: int) -> None:
    unknown = sorted(set(num_images) - set(splits))
    if unknown:
        raise InputError(f'unknown splits {unknown}: in this format RefShapes has {", ".join(splits)}')
    if any(number < 0 for number in num_images.values()) or not sum(num_images.values()):
        raise InputError(f'expected a number of images per split, at least one in all, got {dict(num_images)}')
    if min(image_size) < SMALLEST_SIDE:
        raise InputError(f'images of {image_size[0]}x{image_size[1]} pixels are too small to tell shapes apart: '
                         f'make both sides at least {SMALLEST_SIDE}')
    if seed < 0:
        raise InputError(f'the seed must not be negative, got {seed}')
    check_workers(workers)


def _contents_of_any_format(folder: Path) -> list[Path]:
    """What is there of the files and folders that RefShapes may consist of."""
    names = dict.fromkeys(name for layout in LAYOUTS.values() for name in layout.CONTENTS)
    return [folder / name for name in names if (folder / name).exists()]


def _is_made(out_dir: Path, manifest: str, contents: tuple[str, ...], total: int, overwrite: bool) -> bool:
    """Whether the folder already holds this very data, with its ``total`` images.

    Raises:
        FileError: it holds other data that must not be replaced.
    """
    present = [path.name for path in _contents_of_any_format(out_dir)]
    if not (out_dir / SETTINGS_FILE).exists():
        if present:
            raise FileError(f'{out_dir} holds {", ".join(present)} but no {SETTINGS_FILE}, so it is not (whole) '
                            'RefShapes data and is left alone: choose or empty another folder')
        return False
    same = (out_dir / SETTINGS_FILE).read_text() == manifest
    complete = set(present) == set(contents) and len(os.listdir(out_dir / 'images')) == total
    if same and complete:
        return True
    if not overwrite:
        trouble = 'lacks some files' if same else f'was made with other settings (see {SETTINGS_FILE} in it)'
        raise FileError(f'the RefShapes data in {out_dir} {trouble}: '
                        'pass --overwrite (overwrite=True) or choose another folder')
    return False


def _install(folder: Path, out_dir: Path, contents: tuple[str, ...], manifest: str) -> None:
    """Move finished contents into place; the manifest of older data goes first, the new one comes last."""
    (out_dir / SETTINGS_FILE).unlink(missing_ok=True)
    for old in _contents_of_any_format(out_dir):
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    for name in contents:
        (folder / name).replace(out_dir / name)
    (folder / SETTINGS_FILE).write_text(manifest)
    (folder / SETTINGS_FILE).replace(out_dir / SETTINGS_FILE)


def make_refshapes(out_dir: str | Path, num_images: Mapping[str, int] | None = None,
                   image_size: int | tuple[int, int] = 112, seed: int = 0, workers: int = 1, overwrite: bool = False,
                   show_progress: bool = False, layout: str = 'refcoco', style: str = 'plain') -> bool:
    """Make RefShapes: pictures of coloured shapes with referring expressions, stored as RefCOCO or PhraseCut is.

    The folder gets the files of the format and, last, ``refshapes.json`` with the settings. They depend on the settings
    alone, not on the number of workers, and an image not on how many others there are. If anything fails on the way,
    the folder is as before.

    - ``'refcoco'``: ``images/``, ``instances.json`` and ``refs(unc).p``. Every sentence refers to one object and
      carries its ``kind``: attribute, location, relation or superlative. Splits: ``train`` and ``val`` are alike;
      ``testA`` has crowded scenes of five or six objects; ``testB`` refers only to combinations of shape and colour
      (``HELD_OUT``) that occur in no other split.
    - ``'phrasecut'``: ``images/``, ``image_data_split.json``, ``name_att_rel_count.json`` and ``refer_<split>.json``.
      About half of the phrases refer to several objects, and each to all that it is true of. Splits: ``train``,
      ``val``, ``test`` and ``miniv``, all alike; images of ``train`` and ``val`` are those of the other format.

    Args:
        out_dir: folder to fill; made if missing.
        num_images: images per split; a split that is not named is left out. Default None: 5000 in train, 20 in miniv
            and 150 in every other split.
        image_size: side, or width and height, in pixels. Default 112.
        seed: seed of all randomness. Default 0.
        workers: processes to draw with. Default 1, this very process.
        overwrite: replace RefShapes data made with other settings; other data is never replaced. Default False.
        show_progress: show a progress bar. Default False.
        layout: the format, a key of ``LAYOUTS``. Default ``'refcoco'``.
        style: how pictures are painted, a key of ``STYLES``. Default ``'plain'``.

    Returns:
        True if the data was made, False if it was there already, made with the same settings.

    Raises:
        InputError: a setting makes no sense.
        FileError: the folder holds other data, is being filled by another process, or cannot be written.
    """
    if layout not in LAYOUTS:
        raise InputError(f'unknown format {layout!r}: RefShapes comes in {", ".join(LAYOUTS)}')
    if style not in STYLES:
        raise InputError(f'unknown style {style!r}: RefShapes is painted in {", ".join(STYLES)}')
    kind = LAYOUTS[layout]
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    num_images = kind.NUM_IMAGES if num_images is None else num_images
    _check_settings(num_images, kind.NUM_IMAGES, size, seed, workers)
    counts = {split: num_images.get(split, 0) for split in kind.NUM_IMAGES}
    settings = {'format_version': REFSHAPES_VERSION, 'seed': seed, 'image_size': size, 'num_images': counts}
    if kind is not RefCOCOLayout:  # whose manifests were there before there were others
        settings['layout'] = layout
    if style != 'plain':
        settings['style'] = style
    manifest = json.dumps(settings, indent=2) + '\n'
    out_dir = Path(out_dir)
    if _is_made(out_dir, manifest, kind.CONTENTS, sum(counts.values()), overwrite):
        return False
    tasks = [PictureTask(seed, split, index, size, style) for split in counts for index in range(counts[split])]
    check_writable(out_dir)
    with locked_file(out_dir / LOCK, f'RefShapes is being made in {out_dir}'):
        if _is_made(out_dir, manifest, kind.CONTENTS, sum(counts.values()), overwrite):  # meanwhile, by another process
            return False
        with tempfile.TemporaryDirectory(prefix='.refshapes-', dir=out_dir) as folder:
            _write(Path(folder), kind(REFSHAPES_VERSION), tasks, workers, show_progress)
            _install(Path(folder), out_dir, kind.CONTENTS, manifest)
    return True
