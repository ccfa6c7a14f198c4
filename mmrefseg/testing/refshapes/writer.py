"""RefShapes on disk: a folder in RefCOCO's own format."""
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from rich.progress import track

from mmrefseg.utils.processes import ordered_map

from . import python2_pickle
from .picture import Picture, PictureTask, make_picture
from .scene import SPLITS
from .silhouettes import SHAPES

FORMAT_VERSION = 1
"""Raised whenever the same settings give other files."""

MANIFEST = 'refshapes.json'
CONTENTS = ('images', 'instances.json', 'refs(unc).p')
SMALLEST_SIDE = 64

NUM_IMAGES = MappingProxyType({'train': 5000, 'val': 150, 'testA': 150, 'testB': 150})


def _image_name(image_id: int) -> str:
    return f'COCO_train2014_{image_id:012d}'


class _Records:
    """The contents of both annotation files, grown image by image; numbers every entry."""

    def __init__(self) -> None:
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.refs: list[dict] = []
        self.num_sentences = 0

    def add(self, picture: Picture, task: PictureTask) -> str:
        """Add an image and all about it; returns the file name the image must get."""
        image_id = len(self.images) + 1
        file_name = f'{_image_name(image_id)}.jpg'
        width, height = task.image_size
        self.images.append({'id': image_id, 'file_name': file_name, 'width': width, 'height': height})
        for entry in picture.objects:
            annotation = {
                'id': len(self.annotations) + 1,
                'image_id': image_id,
                'category_id': SHAPES.index(entry.shape) + 1,
                **entry.annotation,
            }
            self.annotations.append(annotation)
            if entry.sentences:
                self._add_ref(annotation, task.split, entry.sentences)
        return file_name

    def _add_ref(self, annotation: dict, split: str, sentences: list) -> None:
        first = self.num_sentences
        self.num_sentences += len(sentences)
        self.refs.append({
            'ref_id': len(self.refs),
            'ann_id': annotation['id'],
            'category_id': annotation['category_id'],
            'image_id': annotation['image_id'],
            'file_name': f'{_image_name(annotation["image_id"])}_{annotation["id"]}.jpg',
            'split': split,
            'sent_ids': list(range(first, self.num_sentences)),
            'sentences': [{'sent_id': first + offset, 'tokens': sentence.sent.split(), **sentence._asdict()}
                          for offset, sentence in enumerate(sentences)],
        })

    def write(self, folder: Path) -> None:
        """Write ``instances.json`` and the refs."""
        instances = {
            'info': {'description': 'RefShapes: made-up scenes with referring expressions', 'version': FORMAT_VERSION},
            'licenses': [],
            'images': self.images,
            'annotations': self.annotations,
            'categories': [{'id': number, 'name': shape, 'supercategory': 'shape'}
                           for number, shape in enumerate(SHAPES, 1)],
        }
        (folder / 'instances.json').write_text(json.dumps(instances, separators=(',', ':')))
        (folder / 'refs(unc).p').write_bytes(python2_pickle.dumps(self.refs))


def _write(folder: Path, tasks: list[PictureTask], workers: int, show_progress: bool) -> None:
    images = folder / 'images'
    images.mkdir()
    records = _Records()
    with ordered_map(workers) as map_pictures:
        pictures: Iterable[Picture] = map_pictures(make_picture, tasks)
        for task, picture in zip(tasks, track(pictures, 'RefShapes', len(tasks), disable=not show_progress),
                                 strict=True):
            (images / records.add(picture, task)).write_bytes(picture.jpeg)
    records.write(folder)


def _check_settings(num_images: Mapping[str, int], image_size: tuple[int, int], seed: int, workers: int) -> None:
    unknown = sorted(set(num_images) - set(SPLITS))
    if unknown:
        raise ValueError(f'unknown splits {unknown}: RefShapes has {", ".join(SPLITS)}')
    if any(number < 0 for number in num_images.values()) or not sum(num_images.values()):
        raise ValueError(f'expected a number of images per split, at least one in all, got {dict(num_images)}')
    if min(image_size) < SMALLEST_SIDE:
        raise ValueError(f'images of {image_size[0]}x{image_size[1]} pixels are too small to tell shapes apart: '
                         f'make both sides at least {SMALLEST_SIDE}')
    if seed < 0:
        raise ValueError(f'the seed must not be negative, got {seed}')
    if workers < 1:
        raise ValueError(f'expected at least one worker, got {workers}')


def _is_made(out_dir: Path, manifest: str, total: int, overwrite: bool) -> bool:
    """Whether the folder already holds this very data, with its ``total`` images.

    Raises:
        FileExistsError: If it holds other data that must not be replaced.
    """
    present = [name for name in CONTENTS if (out_dir / name).exists()]
    if not (out_dir / MANIFEST).exists():
        if present:
            raise FileExistsError(f'{out_dir} holds {", ".join(present)} but no {MANIFEST}, so it is not (whole) '
                                  'RefShapes data and is left alone: choose or empty another folder')
        return False
    same = (out_dir / MANIFEST).read_text() == manifest
    complete = len(present) == len(CONTENTS) and len(os.listdir(out_dir / 'images')) == total
    if same and complete:
        return True
    if not overwrite:
        trouble = 'lacks some files' if same else f'was made with other settings (see {MANIFEST} in it)'
        raise FileExistsError(f'the RefShapes data in {out_dir} {trouble}: '
                              'pass --overwrite (overwrite=True) or choose another folder')
    return False


def _install(folder: Path, out_dir: Path, manifest: str) -> None:
    """Move finished contents into place; the manifest of older data goes first, the new one comes last."""
    (out_dir / MANIFEST).unlink(missing_ok=True)
    for name in CONTENTS:
        old = out_dir / name
        if old.is_dir():
            shutil.rmtree(old)
        (folder / name).replace(old)
    (folder / MANIFEST).write_text(manifest)
    (folder / MANIFEST).replace(out_dir / MANIFEST)


def make_refshapes(out_dir: str | Path, num_images: Mapping[str, int] = NUM_IMAGES,
                   image_size: int | tuple[int, int] = 112, seed: int = 0, workers: int = 1, overwrite: bool = False,
                   show_progress: bool = False) -> bool:
    """Make RefShapes: pictures of coloured shapes with referring expressions, stored as RefCOCO is.

    The folder gets ``images/``, ``instances.json``, ``refs(unc).p`` and, last, ``refshapes.json`` with the settings.
    Splits: ``train`` and ``val`` are alike; ``testA`` has crowded scenes of five or six objects; ``testB`` refers
    only to combinations of shape and colour (``HELD_OUT``) that occur in no other split. Every sentence carries its
    ``kind``: attribute, location, relation or superlative. The files depend on the settings alone, not on the number
    of workers, and an image not on how many others there are. If anything fails on the way, the folder is as before.

    Args:
        out_dir (str | Path): Folder to fill; made if missing.
        num_images (Mapping[str, int]): Images per split; a split that is not named is left out. Defaults to 5000
            in train and 150 each in val, testA and testB.
        image_size (int | tuple[int, int]): Side, or width and height, in pixels. Defaults to 112.
        seed (int): Seed of all randomness. Defaults to 0.
        workers (int): Processes to draw with. Defaults to 1, this very process.
        overwrite (bool): Replace RefShapes data made with other settings; other data is never replaced. Defaults to
            False.
        show_progress (bool): Show a progress bar. Defaults to False.

    Returns:
        bool: True if the data was made, False if it was there already, made with the same settings.

    Raises:
        ValueError: If a setting makes no sense.
        FileExistsError: If the folder holds other data.
        OSError: If the folder cannot be written.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    _check_settings(num_images, size, seed, workers)
    counts = {split: num_images.get(split, 0) for split in SPLITS}
    settings = {'format_version': FORMAT_VERSION, 'seed': seed, 'image_size': size, 'num_images': counts}
    manifest = json.dumps(settings, indent=2) + '\n'
    out_dir = Path(out_dir)
    if _is_made(out_dir, manifest, sum(counts.values()), overwrite):
        return False
    tasks = [PictureTask(seed, split, index, size) for split in SPLITS for index in range(counts[split])]
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.refshapes-', dir=out_dir) as folder:
        _write(Path(folder), tasks, workers, show_progress)
        _install(Path(folder), out_dir, manifest)
    return True
