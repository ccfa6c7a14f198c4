"""Optional packages, by the extra that brings them."""
from __future__ import annotations

from importlib.util import find_spec

from mmrefseg.errors import MissingPackageError


def need_extra(extra: str, *modules: str) -> None:
    """Make sure that the packages of an extra are installed; imports none of them.

    Args:
        extra: its name in ``setup.py``.
        *modules: what is imported from them.

    Raises:
        MissingPackageError: one is missing.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MissingPackageError(f'{", ".join(missing)} {"is" if len(missing) == 1 else "are"} not installed: '
                                  f'pip install "mmrefseg[{extra}]"')
