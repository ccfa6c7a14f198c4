"""Reading of fields from files that may hold anything."""
from __future__ import annotations

from typing import Any


def get_field(element: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """Take a field out of an element of a file and check its type.

    Values are not shown in errors: a hostile one may be endless.

    Args:
        element (Any): What should be a dictionary.
        key (str): Name of the field.
        kind (type | tuple[type, ...]): What the value must be. A truth value is no ``int`` here.
        where (str): File and path of the element, for errors.

    Returns:
        Any: The value.

    Raises:
        ValueError: If the element is no dictionary, or the field is missing or of another type.
    """
    if not isinstance(element, dict):
        raise ValueError(f'{where}: expected a dictionary, got an object of type {type(element).__name__}.')
    kinds = kind if isinstance(kind, tuple) else (kind,)
    value = element.get(key)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f'{where}: {key!r} must be of type {" or ".join(k.__name__ for k in kinds)}, '
                         + (f'got {type(value).__name__}.' if key in element else 'but is missing.'))
    return value
