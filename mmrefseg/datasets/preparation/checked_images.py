"""Checking one image with all that refers to it."""
from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from mmrefseg.errors import FileError, InputError, UserError
from mmrefseg.structures.mask_formats import draw_mask, mask_to_rle
from mmrefseg.utils.files import MAX_IMAGE_BYTES
from mmrefseg.utils.image_header import ImageHeader, header_of

from ..json_line_format import line_of
from ..json_lines import key_of_content
from ..transforms.loading import decode_image, image_bytes, wrong_size
from .file_catalogue import FileLocation


class ImageTask(NamedTuple):
    """An image and its referents.

    Args:
        name: name of the image below the folder of images.
        location: where it is; the path may be an address in an LMDB file.
        referents: the referents, by their index in the split. Those without an ``image_key`` get that of the image's
            content.
        link_to: where to put the image; None means that its content is returned.
    """

    name: str
    location: FileLocation
    referents: dict[int, dict]
    link_to: Path | None = None


class CheckedImage(NamedTuple):
    """What is good and bad about an image.

    Args:
        name: its name.
        sha256: of its file, in hexadecimal digits; nothing if the image is broken.
        content: what its file holds; nothing if the image was put somewhere, or is broken.
        lines: the complete lines of its good referents, by their index in the split.
        broken: what is wrong with the others, by their index in the split.
    """

    name: str
    sha256: str
    content: bytes
    lines: dict[int, bytes]
    broken: dict[int, str]


def check_image(task: ImageTask) -> CheckedImage:
    """Decode an image, draw its referents' masks and write their lines.

    Args:
        task: the image, and the referents on it.
    """
    lines, broken, location = {}, {}, task.location
    try:
        content = image_bytes(location.path) if location.member is None else location.read(MAX_IMAGE_BYTES)
        decode_image(content, str(location))
        header = header_of(content)
    except UserError as error:
        return CheckedImage(task.name, '', b'', {}, dict.fromkeys(task.referents, str(error)))
    sha256 = hashlib.sha256(content).hexdigest()
    for index, referent in task.referents.items():
        referent['image_key'] = referent.get('image_key') or key_of_content(sha256)
        try:
            lines[index] = line_of(referent, task.name, _rle(referent, header))
        except InputError as error:
            broken[index] = f'annotation {referent["ann_id"]} of the image {location}: {error}'
    if task.link_to is None:
        return CheckedImage(task.name, sha256, content if lines else b'', lines, broken)
    if lines:
        _put(content, task)
    return CheckedImage(task.name, sha256, b'', lines, broken)


def _rle(referent: dict, header: ImageHeader) -> dict | None:
    shape = (header.height, header.width) if referent['ignore_orientation'] else header.upright_size
    annotated = referent['height'], referent['width']
    if shape != annotated:
        raise InputError(f'the image {wrong_size(shape, annotated)}')
    segmentation = referent['segmentation']
    if segmentation is None:
        return None
    try:
        mask = draw_mask(segmentation, *shape)
    except InputError as error:
        raise InputError(f'the mask cannot be drawn: {error}') from error
    if mask.any():
        return mask_to_rle(mask)
    if 'instances' in segmentation:  # PhraseCut has phrases without an outline
        return None
    raise InputError('its mask has no pixel inside the image. Mend the outline; or write null, if the expression '
                     'refers to nothing')


def _put(content: bytes, task: ImageTask) -> None:
    """Link to an image, or unpack it from its archive."""
    target, location = task.link_to, task.location
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if location.member is None:
            target.symlink_to(os.path.abspath(location.path))
        else:
            target.write_bytes(content)
    except OSError as error:  # of a full disk, or of an image called as a folder of others
        raise FileError(error.errno, f'the image {location} cannot be put to {target} ({error.strerror})') from error
