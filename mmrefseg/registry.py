"""Registry nodes of mmrefseg (scope ``mmrefseg``); each is a child of MMEngine's root node of the same kind.

A node imports its ``locations`` when a type is first looked up, so a config that only says
``default_scope='mmrefseg'`` finds every part without an import of its own.
"""
from __future__ import annotations

import mmrefseg.utils.needs_openmmlab  # noqa: F401

# isort: split
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import mmengine.registry as root
from mmengine.registry import Registry

from mmrefseg.errors import InputError
from mmrefseg.utils.constructor_checks import check_constructor
from mmrefseg.utils.lazy_imports import import_all
from mmrefseg.utils.requirements import check_importable


class _Node(Registry):
    """A registry whose parts of mmrefseg refuse settings of a wrong name or type; those of others are as they are."""

    def build(self, cfg: Mapping[str, Any] | list, *args: Any, **kwargs: Any) -> Any:
        """Build a part from its config, as MMEngine does.

        Raises:
            InputError: the config has no ``type``, or one that isn't known.
            MissingPackageError: the type is one of mmpretrain, which cannot be imported.
        """
        for config in cfg if isinstance(cfg, list) else [cfg]:
            check_importable(config)
            if isinstance(config, Mapping) and isinstance(config.get('type', ''), str):
                self._check_type(config.get('type'), config.get('_scope_'))
        return super().build(cfg, *args, **kwargs)

    def _check_type(self, kind: str | None, scope: str | None) -> None:
        with self.switch_scope_and_registry(scope) as node:
            if kind and node.get(kind) is not None:
                return
        similar = get_close_matches(type_name(kind or ''), self.module_dict)
        raise InputError(('a config' if kind is None else f'type={kind!r}') + f' names no {self.name} that is known'
                         + (f'; did you mean {similar[0]!r}?' if similar else '. Parts of other packages need their '
                            "scope ('mmseg.FCNHead'), your own an import (custom_imports)"))

    def import_from_location(self) -> None:
        """Import all of the packages whose parts this registry holds, once."""
        if not self._imported:
            for location in self._locations:
                import_all(location)
        super().import_from_location()

    def _register_module(self,
                         module: Callable,
                         module_name: str | list[str] | None = None,
                         force: bool = False) -> None:
        super()._register_module(module, module_name, force)
        if inspect.isclass(module) and module.__module__.split('.')[0] == 'mmrefseg':
            check_constructor(module)


def _node(name: str, parent: Registry, *locations: str) -> Registry:
    return _Node(name, parent=parent, scope='mmrefseg', locations=[f'mmrefseg.{location}' for location in locations])


def type_name(kind: str | type) -> str:
    """The name of a ``type`` in a config, without its scope.

    Args:
        kind: a name, with or without its scope, or the class itself.
    """
    return kind.split('.')[-1] if isinstance(kind, str) else getattr(kind, '__name__', repr(kind))


RUNNERS = _node('runner', root.RUNNERS)
RUNNER_CONSTRUCTORS = _node('runner constructor', root.RUNNER_CONSTRUCTORS)
STRATEGIES = _node('strategy', root.STRATEGIES)
LOOPS = _node('loop', root.LOOPS)
HOOKS = _node('hook', root.HOOKS, 'engine')
LOG_PROCESSORS = _node('log processor', root.LOG_PROCESSORS)

DATASETS = _node('dataset', root.DATASETS, 'datasets')
DATA_SAMPLERS = _node('data sampler', root.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _node('transform', root.TRANSFORMS, 'datasets')

MODELS = _node('model', root.MODELS, 'models')
MODEL_WRAPPERS = _node('model wrapper', root.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _node('weight initializer', root.WEIGHT_INITIALIZERS)

OPTIMIZERS = _node('optimizer', root.OPTIMIZERS, 'engine')
OPTIM_WRAPPERS = _node('optim wrapper', root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _node('optim wrapper constructor', root.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _node('parameter scheduler', root.PARAM_SCHEDULERS)

METRICS = _node('metric', root.METRICS, 'evaluation')
EVALUATOR = _node('evaluator', root.EVALUATOR, 'evaluation')
TASK_UTILS = _node('task util', root.TASK_UTILS)
FUNCTIONS = _node('function', root.FUNCTIONS)

VISUALIZERS = _node('visualizer', root.VISUALIZERS, 'visualization')
VISBACKENDS = _node('vis backend', root.VISBACKENDS, 'visualization')
INFERENCERS = _node('inferencer', root.INFERENCERS, 'apis')
