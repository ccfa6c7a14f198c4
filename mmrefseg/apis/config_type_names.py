"""Names in the place of classes, which MMEngine's newer configs hold: all that reads configs may then rely on them."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mmengine.registry as roots
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string


def with_names(config: Config) -> Config:
    """A copy of a config whose every ``type`` is a name, by which building it finds the same class.

    That is the name it is registered under, as configs of strings have it, or the path that it is imported by. A class
    that has neither stays, as one made in a notebook.

    Args:
        config: with names, classes, or both; what it only imports is left out.
    """
    scope = config.get('default_scope') or 'mmengine'  # the runner's default
    settings = {key: _named(config[key], scope) for key in config if key not in config._imported_names}
    return Config(settings, cfg_text=config.text, filename=config.filename, env_variables=config.env_variables)


def _named(part: Any, scope: str) -> Any:
    if isinstance(part, dict):
        return {key: _name(value, scope) if key == 'type' and callable(value) else _named(value, scope)
                for key, value in part.items()}
    return type(part)([_named(value, scope) for value in part]) if isinstance(part, list | tuple) else part


def _name(kind: Any, scope: str) -> Any:
    """The shortest name that stands for a class or function; itself if there is none."""
    for root in vars(roots).values():
        names = list(_registered_names(root, kind)) if isinstance(root, Registry) and root.parent is None else []
        if names:
            with root.switch_scope_and_registry(scope) as node:
                if found := next((name for name in names if node.get(name) is kind), None):
                    return found
    path = f'{getattr(kind, "__module__", "")}.{getattr(kind, "__qualname__", "")}'
    return path if get_object_from_string(path) is kind else kind


def _registered_names(node: Registry, kind: Any) -> Iterator[str]:
    """Names under which a registry or one below it knows something, each without and with its scope."""
    for name, known in node.module_dict.items():
        if known is kind:
            yield from (name, f'{node.scope}.{name}')
    for child in node.children.values():
        yield from _registered_names(child, kind)
