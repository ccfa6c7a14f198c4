"""Finding the files that annotations name."""
from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.utils.safe_names import refuse_links_out

MAX_FILES = 1 << 22
"""Folders with more files are refused."""

_ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff', '.ppm', '.img')
_UPLOAD = re.compile('[0-9a-f]{8}-')  # what Label Studio puts before the names of uploaded files
_CLEANED = re.compile(r'[^-\w.]')  # and these it takes out, after it made spaces to underscores
_OF_MASKS = re.compile('mask|segm|label', re.IGNORECASE)


class ImageNotThereError(InputError):
    """No file has the name of an image."""


class ImageFinder:
    """All image files below some folders, found by what annotations call them.

    Annotations name images with folders of another machine, backslashes, or without an ending. The file whose path
    agrees with the most folders of the name is meant, if it is the only one.

    Args:
        roots: the folders.

    Raises:
        MissingInputError: a folder is missing.
        InputError: they hold files without end.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(roots)
        self._by_name: dict[str, list[tuple[Path, PurePosixPath]]] = defaultdict(list)
        self._by_upload: dict[str, list[tuple[Path, PurePosixPath]]] = defaultdict(list)
        number = 0
        for root in roots:
            if not root.is_dir():
                raise MissingInputError(f'The folder {root} of the images is missing. Name it with --images.')
            for folder, subfolders, files in os.walk(root):
                subfolders[:] = sorted(name for name in subfolders if not name.startswith('.'))
                for file in sorted(files):
                    number += 1
                    if number > MAX_FILES:
                        raise InputError(f'{root} holds more than {MAX_FILES} files. Name with --images the folder '
                                         'that holds the images alone.')
                    if file.lower().endswith(_ENDINGS) and not file.startswith('._'):
                        inside = PurePosixPath(Path(folder, file).relative_to(root).as_posix())
                        for key in {file, inside.stem}:
                            self._by_name[key].append((root, inside))
                        self._by_upload[_CLEANED.sub('', file.strip().replace(' ', '_'))].append((root, inside))
        self.find = lru_cache(None)(self._find)

    def _find(self, name: str, is_mask: bool = False) -> tuple[Path, str]:
        """The file that a name means.

        Args:
            name: the name, with or without folders and ending.
            is_mask: whether a mask is looked for. Default False, an image.

        Returns:
            Its path, and its name below its root.

        Raises:
            ImageNotThereError: there is no such file.
            InputError: several fit alike, or it is a link to a place outside of its root.
        """
        parts = [part for part in name.replace('\\', '/').split('/') if part not in ('', '.', '..')]
        if not parts:
            raise InputError(f'an image has the empty name {name[:80]!r}')
        original = _UPLOAD.sub('', parts[-1], count=1)
        found = self._by_name.get(parts[-1]) or self._by_name.get(original) or self._by_upload.get(original) or []
        fits = defaultdict(list)
        for root, inside in found:
            looks_like_mask = any(_OF_MASKS.search(part) for part in inside.parts[:-1])
            fits[_common_tail(parts, inside.parts), looks_like_mask == is_mask].append((root, inside))
        if not fits:
            raise ImageNotThereError(f'the {"mask" if is_mask else "image"} {name[:200]!r} is not there. Name with '
                                     '--images the folder that holds it')
        best = fits[max(fits)]
        if len(best) > 1:
            raise InputError(f'the name {name[:200]!r} fits {len(best)} files, such as {best[0][1]} and {best[1][1]}. '
                             'Name with --images the folder that holds the right ones, or remove the others')
        root, inside = best[0]
        refuse_links_out(str(root / inside), str(root))
        return root / inside, inside.as_posix()


def _common_tail(wanted: Sequence[str], there: Sequence[str]) -> int:
    """How many folders above the file agree, from the file upwards."""
    number = 0
    for mine, other in zip(reversed(wanted[:-1]), reversed(there[:-1]), strict=False):
        if mine != other:
            break
        number += 1
    return number
