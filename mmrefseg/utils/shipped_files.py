"""Finding what comes with mmrefseg beside the package: configs and tools."""
from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from mmrefseg.errors import InputError, MissingInputError


def shipped_folder(name: str) -> Path:
    """A folder of the repository, in a clone or in an installed wheel, which has it in ``.mim``.

    Args:
        name: ``configs`` or ``tools``.
    """
    package = Path(__file__).resolve().parents[1]
    clone = package.parent
    # setup.py tells a clone from site-packages, where a folder `configs` would be somebody else's.
    return clone / name if (clone / 'setup.py').is_file() else package / '.mim' / name


def config_path(name: str) -> str:
    """Find a config that comes with mmrefseg.

    A config of another project, in any folder, inherits by an expression; nothing needs to be imported before::

        _base_ = __import__('mmrefseg').config_path('sera/sera_dinov2_refcoco.py')

    Args:
        name: path below ``configs`` or the end of it, with or without ``.py``: ``'sera/sera_dinov2_refcoco.py'`` or
            just ``'sera_dinov2_refcoco'``.

    Returns:
        Absolute path of the file.

    Raises:
        MissingInputError: there is no such config; names those with similar names.
        InputError: several configs end so; names them.
    """
    folder = shipped_folder('configs')
    wanted = name.removesuffix('.py') + '.py'
    known = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.py'))
    found = [path for path in known if path == wanted or path.endswith(f'/{wanted}')]
    if wanted in found:
        found = [wanted]
    if len(found) > 1:
        raise InputError(f'{name!r} may be any of {", ".join(found)}; say which')
    if not found:
        stems = {Path(path).stem: path for path in known}
        similar = get_close_matches(wanted, known) or get_close_matches(Path(wanted).stem, stems)
        hint = ', '.join(stems.get(match, match) for match in similar) or f'one of those in {folder}'
        raise MissingInputError(f'mmrefseg has no config {name!r}; did you mean {hint}?')
    return str(folder / found[0])
