"""A data set's own files: finding them, and opening what they hold."""
from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mmrefseg.registry import DATASETS

from ..base_referring_dataset import BaseReferringDataset
from ..prepared_folder import IMAGES
from .catalogue import MAX_ANNOTATION_BYTES, Catalogue, Place
from .recipes import Recipe


class Source:
    """The files of a data set, wherever they are below some folders.

    Args:
        recipe (Recipe): What is known of the data set.
        catalogue (Catalogue): The files that are there.
        work_dir (Path): Where annotations are unpacked that are in an archive.

    Raises:
        FileNotFoundError: If the annotations are missing; names their official address.
        ValueError: If there are several of them, or an archive is damaged.
    """

    def __init__(self, recipe: Recipe, catalogue: Catalogue, work_dir: Path) -> None:
        self._recipe = recipe
        self._catalogue = catalogue
        self._found_images = False
        folder = self._choose_folder()
        self._files = [place for name in recipe.files for place in catalogue.find_in(folder, name)]
        self.data_root = Path(folder)
        if any(place.member for place in self._files):
            self.data_root = work_dir
            for place in self._files:
                path = work_dir / place.full_path.relative_to(folder)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(place.read(MAX_ANNOTATION_BYTES))
        # Classes want to see a folder of images; which one matters little, for they are looked for everywhere.
        self._has_images = (self.data_root / IMAGES).is_dir()
        self.image_folder = (self.data_root if self._has_images else work_dir) / IMAGES
        self.image_folder.mkdir(parents=True, exist_ok=True)

    @property
    def files_from(self) -> str:
        """The official address of the annotations."""
        return self._recipe.files_from

    def fingerprint(self) -> list:
        """What changes if the annotations do."""
        return [[str(place), os.stat(place.path).st_size, os.stat(place.path).st_mtime_ns] for place in self._files]

    def open(self, split: str) -> BaseReferringDataset:
        """The data set, of which nothing is read yet."""
        return DATASETS.build({
            'type': self._recipe.dataset,
            'data_root': str(self.data_root),
            'split': split,
            'data_prefix': {'img_path': str(self.image_folder)},
            'lazy_init': True,
            **self._recipe.arguments,
        })

    def splits(self) -> list[str]:
        """The splits to prepare."""
        if self._recipe.splits is not None:
            return list(self._recipe.splits)
        dataset = self.open('train')
        dataset.broken = []  # the splits will tell
        return list(dataset.images_by_split())

    def image_name(self, referent: dict) -> str:
        """The name of a referent's image below the folder of images.

        Raises:
            ValueError: If it leads out of there.
        """
        name = os.path.relpath(referent['img_path'], self.image_folder)
        if name.startswith('..'):
            raise ValueError(f'the name of its image, {name[:200]!r}, leads out of the folder of images')
        return name

    def find_images(self, names: Iterable[str]) -> dict[str, Place]:
        """Where images are; those that are nowhere are left out.

        Raises:
            FileNotFoundError: If none was ever found; names the official address.
            ValueError: If there are different files of a name.
        """
        names = list(names)
        places = {name: place for name in names if (place := self._find_image(name))}
        self._found_images |= bool(places)
        if names and not self._found_images:
            raise FileNotFoundError(f'None of the {len(names)} images is in {self._where()}: {", ".join(names[:3])}, '
                                    f'... They are from {self._recipe.images_from}; name with --src, too, the folder '
                                    'that holds them or their zip archive.')
        return places

    def _find_image(self, name: str) -> Place | None:
        if self._has_images and (self.image_folder / name).is_file():
            return Place(str(self.image_folder / name))
        found = self._catalogue.find(name)
        official = [place for place in found if set(place.full_path.parts) & set(self._recipe.image_folders)]
        found = official or found
        if len(found) > 1 and len({place.size() for place in found}) > 1:
            raise ValueError(f'There are different files {name}: {found[0]} and {found[-1]}. Name with --src only '
                             'folders of this data set.')
        return found[0] if found else None

    def _choose_folder(self) -> PurePosixPath:
        recipe = self._recipe
        folders = self._catalogue.folders_with(recipe.files)
        named = [folder for folder in folders if folder.name.removesuffix('.zip') == recipe.folder]
        unpacked = [folder for folder in named or folders if Path(folder).is_dir()]
        folders = unpacked or named or folders
        if len(folders) > 1:
            raise ValueError(f'{len(folders)} folders hold {", ".join(recipe.files)}: '
                             f'{", ".join(map(str, folders[:4]))}. Name with --src the right one, and the folder of '
                             'the images.')
        if folders:
            return folders[0]
        missing = [name for name in recipe.files if not self._catalogue.folders_with([name])] or recipe.files
        raise FileNotFoundError(f'{", ".join(missing)} missing: no folder in {self._where()} holds '
                                f'{" and ".join(recipe.files)}. They are from {recipe.files_from}, the images from '
                                f'{recipe.images_from}. Put them there, unpacked or as the zip archives they are.')

    def _where(self) -> str:
        return ', '.join(self._catalogue.folders)
