"""Where images come from: files, folders, patterns, the web, memory, and any iterable of these."""
from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from PIL import Image
from torch import Tensor

from mmrefseg.datasets.transforms.loading import image_bytes
from mmrefseg.errors import InputError, InputTypeError, MissingInputError
from mmrefseg.utils.files import MAX_IMAGE_BYTES
from mmrefseg.utils.lmdb_file import is_lmdb_address
from mmrefseg.utils.web_addresses import is_url

from .image_decoding import of_array, of_bytes, of_pillow, of_tensor
from .image_download import download_image

SUFFIXES = ('.bmp', '.gif', '.jfif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
"""Of the files that are taken from a folder."""

OneImage = str | Path | bytes | BinaryIO | Image.Image | np.ndarray | Tensor
Images = OneImage | Iterable[OneImage]


class ImageSource:
    """One image that a user named or gave; read whenever it is needed, so that it need not be kept.

    Args:
        image: path, address, bytes, file object (read at once), Pillow's image, array or tensor.
        public_only: whether an address may be of the internet alone, as somebody else names it; see
            :func:`download_image`. Default False.

    Raises:
        InputError: a file object has too many bytes.
        InputTypeError: it is none of these, or a file object gives text.
    """

    def __init__(self, image: OneImage, public_only: bool = False) -> None:
        self.path = str(image) if isinstance(image, str | Path) else None
        """The name that the user gave; None for what is in memory."""
        if hasattr(image, 'read') and not isinstance(image, Image.Image):
            image = _read(image)  # type: ignore[arg-type]
        if isinstance(image, bytearray | memoryview):
            image = bytes(image)
        if not isinstance(image, str | Path | bytes | Image.Image | np.ndarray | Tensor):
            raise InputTypeError(f'an image must be a path, address, bytes, file object, PIL image, array or tensor, '
                                 f'got {type(image).__name__}')
        self._image, self._public_only = image, public_only

    @property
    def name(self) -> str:
        """What messages call the image: its path or address, or how it was given."""
        return self.path or f'the image given as {type(self._image).__name__}'

    def read(self) -> np.ndarray:
        """The picture, upright, as RGB uint8 (H, W, 3).

        Raises:
            MissingInputError: there is no such file.
            FileError: it cannot be read or downloaded.
            InputError: it is no image that can be decoded, or an array or tensor of another shape or type.
        """
        image = self._image
        if isinstance(image, str | Path):
            return of_bytes(_content(str(image), self._public_only), str(image))
        if isinstance(image, bytes):
            return of_bytes(image, self.name)
        if isinstance(image, Image.Image):
            return of_pillow(image, self.name)
        return of_tensor(image, self.name) if isinstance(image, Tensor) else of_array(image, self.name)


def _read(file: BinaryIO) -> bytes:
    content = file.read(MAX_IMAGE_BYTES + 1)
    if not isinstance(content, bytes):
        raise InputTypeError(f"a file object must give bytes, got {type(content).__name__}: open it with mode 'rb'")
    if len(content) > MAX_IMAGE_BYTES:
        raise InputError(f'a file object gives more than {MAX_IMAGE_BYTES} bytes; no larger image is read')
    return content


def _content(path: str, public_only: bool) -> bytes:
    if is_url(path):
        return download_image(path, public_only=public_only)
    if not is_lmdb_address(path) and not Path(path).exists():
        raise MissingInputError(f'there is no image file {path!r}')
    return image_bytes(path)


def sources_of(images: Images) -> Iterator[ImageSource]:
    """All images that are meant, one by one.

    Args:
        images: one image; a folder, of which the images in it are taken, sorted by name; a pattern such as
            ``'photos/**/*.jpg'``; or an iterable of all these.

    Raises:
        InputError: a folder holds no image, or a pattern fits no file.
        InputTypeError: something is none of these.
    """
    if isinstance(images, str | Path):
        yield from map(ImageSource, _named(images))
    elif is_one_image(images):
        yield ImageSource(images)
    elif isinstance(images, Iterable) and not isinstance(images, Mapping):
        for image in images:
            yield from sources_of(image)  # type: ignore[arg-type]
    else:
        ImageSource(images)  # type: ignore[arg-type]  # says what it should have been


def is_one_image(images: Any) -> TypeGuard[OneImage]:
    """Whether something can be one image only, and no collection.

    Args:
        images: as :func:`sources_of` takes them.
    """
    in_memory = isinstance(images, bytes | bytearray | memoryview | Image.Image | np.ndarray | Tensor)
    return in_memory or hasattr(images, 'read')


def _named(name: str | Path) -> list[str]:
    text = str(name)
    if is_url(text) or is_lmdb_address(text):
        return [text]
    if Path(text).is_dir():
        found = sorted(str(path) for path in Path(text).iterdir()
                       if path.suffix.lower() in SUFFIXES and path.is_file())
        if not found:
            raise InputError(f'the folder {text} holds no image ({", ".join(SUFFIXES)}). Name another, or a pattern '
                             f"such as '{text}/**/*.jpg' for those in folders within")
        return found
    if glob.has_magic(text) and not Path(text).exists():
        found = sorted(path for path in glob.iglob(text, recursive=True) if Path(path).is_file())
        if not found:
            raise InputError(f'no file fits the pattern {text!r}')
        return found
    return [text]
