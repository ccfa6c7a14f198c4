"""A data set's own files: finding them, and opening what they hold."""
from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.files import MAX_IMAGE_BYTES, MAX_JSON_BYTES
from mmrefseg.utils.image_header import read_image_size
from mmrefseg.utils.safe_names import relative_name, split_name

from ..base_referring_dataset import BaseReferringDataset
from ..json_lines import JSONLinesDataset
from ..prepared_folder import IMAGES
from .file_catalogue import Catalogue, FileLocation
from .recipes import Recipe


class Source:
    """The files of a data set, wherever they are below some folders.

    Args:
        recipe: what is known of the data set.
        catalogue: the files that are there.
        work_dir: where annotations and masks are unpacked that are in an archive.

    Raises:
        MissingInputError: the annotations are missing; names their official address.
        InputError: there are several of them, or an archive is damaged.
    """

    def __init__(self, recipe: Recipe, catalogue: Catalogue, work_dir: Path) -> None:
        self._recipe = recipe
        self._catalogue = catalogue
        self._found_images = False
        self._work_dir = work_dir = work_dir.absolute()
        # The lines of an image mostly follow each other.
        self._size_at = lru_cache(_size_at)
        self._folder = folder = self._choose_folder()
        self._files = [location for name in recipe.files for location in catalogue.find_in(folder, name)]
        self.data_root = Path(folder)
        if any(location.member for location in self._files):
            self.data_root = work_dir
            for location in self._files:
                location.copy_to(work_dir / location.full_path.relative_to(folder), MAX_JSON_BYTES)
        # Classes want to see a folder of images; which one matters little, for they are looked for everywhere.
        self._has_images = (self.data_root / IMAGES).is_dir()
        self.image_folder = (self.data_root if self._has_images else work_dir) / IMAGES
        self.image_folder.mkdir(parents=True, exist_ok=True)

    @property
    def files_from(self) -> str:
        """The address where the data set's authors offer its annotations."""
        return self._recipe.files_from

    def fingerprint(self) -> list:
        """What changes if the annotations do."""
        return [[str(file), os.stat(file.path).st_size, os.stat(file.path).st_mtime_ns] for file in self._files]

    def open(self, split: str) -> BaseReferringDataset:
        """Build the data set; nothing is read yet.

        Args:
            split: name of the split.
        """
        arguments = dict(self._recipe.arguments)
        if arguments.get('image_source', '') is None:
            # The folder would be that of unpacked annotations, which is deleted in the end.
            arguments['image_source'] = os.path.realpath(self._folder)
        dataset = DATASETS.build({
            'type': f'mmrefseg.{self._recipe.dataset}',  # whatever scope the process is in
            'data_root': str(self.data_root),
            'split': split,
            'data_prefix': {'img_path': str(self.image_folder)},
            'lazy_init': True,
            **arguments,
        })
        if isinstance(dataset, JSONLinesDataset):
            dataset.size_of = self._size_of
        return dataset

    def splits(self) -> list[str]:
        """Names of the splits that the files hold, which are to be prepared.

        Raises:
            InputError: the files name one after which no file can be called.
        """
        if self._recipe.splits is not None:
            return list(self._recipe.splits)
        dataset = self.open('train')
        dataset.broken = []  # the splits will tell
        return [split_name(split, f'{self.data_root}: a split') for split in dataset.splits()]

    def image_name(self, referent: dict) -> str:
        """The name of a referent's image below the folder of images.

        Args:
            referent: as :meth:`BaseReferringDataset.load_referents` gives it.

        Raises:
            InputError: it leads out of there.
        """
        return relative_name(os.path.relpath(referent['img_path'], self.image_folder), 'the name of its image')

    def find_images(self, names: Iterable[str]) -> dict[str, FileLocation]:
        """Where images are; those that are nowhere are left out.

        Args:
            names: names of the images below the folder of images.

        Raises:
            MissingInputError: none was ever found; names the official address.
            InputError: there are different files of a name.
        """
        names = list(names)
        locations = {name: location for name in names if (location := self._find_image(name))}
        self._found_images |= bool(locations)
        if names and not self._found_images:
            raise MissingInputError(f'None of the {len(names)} images is in {self._where()}: {", ".join(names[:3])}, '
                                    f'... They are from {self._recipe.images_from}; name with --src, too, the folder '
                                    'that holds them or their zip archive.')
        return locations

    def bring_mask(self, referent: dict) -> None:
        """Unpack the file of a referent's mask, or find it, unless it is where it should be.

        Args:
            referent: as :meth:`BaseReferringDataset.load_referents` gives it; gets the mask's new path.

        Raises:
            InputError: there are different files of its name, or it is damaged.
            FileError: it cannot be read or written.
        """
        mask = referent['segmentation']
        if not isinstance(mask, dict) or 'file' not in mask or os.path.isfile(mask['file']):
            return
        name = relative_name(os.path.relpath(mask['file'], self.data_root), 'the name of its mask')
        location = self._find(name, self._folder)
        if location and location.member:
            path = self._work_dir / name
            location.copy_to(path, MAX_IMAGE_BYTES)
            location = FileLocation(str(path))
        if location:
            referent['segmentation'] = {**mask, 'file': location.path}

    def _size_of(self, path: str, ignore_orientation: bool) -> tuple[int, int]:
        location = self._find_image(os.path.relpath(path, self.image_folder))
        if location is None:
            raise MissingInputError(f'no such file in {self._where()}')
        return self._size_at(location, ignore_orientation)

    def _find_image(self, name: str) -> FileLocation | None:
        if self._has_images and (self.image_folder / name).is_file():
            return FileLocation(str(self.image_folder / name))
        return self._find(name, self._folder / IMAGES)

    def _find(self, name: str, folder: PurePosixPath) -> FileLocation | None:
        """Where a file is: in the folder, also if that is in an archive; else in an official one; else anywhere."""
        found = self._catalogue.find(name)
        own = [location for location in found if location.full_path == folder / name]
        official = [location for location in found if set(location.full_path.parts) & set(self._recipe.image_folders)]
        found = own or official or found
        if len(found) > 1 and len({location.size() for location in found}) > 1:
            raise InputError(f'There are different files {name}: {found[0]} and {found[-1]}. Name with --src only '
                             'folders of this data set.')
        return found[0] if found else None

    def _choose_folder(self) -> PurePosixPath:
        recipe = self._recipe
        folders = self._catalogue.folders_with(recipe.files)
        named = [folder for folder in folders if folder.name.removesuffix('.zip') == recipe.folder]
        unpacked = [folder for folder in named or folders if Path(folder).is_dir()]
        folders = unpacked or named or folders
        if len(folders) > 1:
            unpack = '' if unpacked else 'unpack the archive, and '
            raise InputError(f'{len(folders)} folders hold {", ".join(recipe.files)}: '
                             f'{", ".join(map(str, folders[:4]))}. To mend it, {unpack}name with --src the right one, '
                             'and the folder of the images.')
        if folders:
            return folders[0]
        missing = [name for name in recipe.files if not self._catalogue.folders_with([name])] or recipe.files
        raise MissingInputError(f'{", ".join(missing)} missing: no folder in {self._where()} holds '
                                f'{" and ".join(recipe.files)}. They are from {recipe.files_from}, the images from '
                                f'{recipe.images_from}. Put them there, unpacked or as the zip archives they are.')

    def _where(self) -> str:
        return ', '.join(self._catalogue.folders)


def _size_at(location: FileLocation, ignore_orientation: bool) -> tuple[int, int]:
    file = location.path if location.member is None else BytesIO(location.read(MAX_IMAGE_BYTES))
    return read_image_size(file, ignore_orientation)
