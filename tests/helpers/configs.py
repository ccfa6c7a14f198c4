"""The configs that come with mmrefseg, each read once per session, and their models, each built once."""
from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import mmengine.registry
import pytest
import torch
from helpers.skip_without_mmpretrain import skip_without_mmpretrain
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope, Registry
from torch import nn

import mmrefseg
from mmrefseg.models.layers import ExpertMixture
from mmrefseg.registry import MODELS

FOLDER = Path(mmrefseg.config_path('sera_dinov2_refcoco')).parents[1]
# Path below the folder, without the suffix; a name is the last part of it.
PATHS = sorted(path.relative_to(FOLDER).with_suffix('').as_posix() for path in FOLDER.rglob('*.py')
               if '_base_' not in path.parts)
NAMES = [path.split('/')[-1] for path in PATHS]

_models: dict[tuple[str, str], nn.Module] = {}


@cache
def load(name: str) -> Config:
    """The config of that name, which all tests share: to be read only."""
    return Config.fromfile(mmrefseg.config_path(name))


def build(name: str) -> nn.Module:
    """Its model on the meta device, which all tests of equal models share: to be looked at only."""
    config = load(name)
    return build_model(config.model, config.default_scope)


def build_changed(name: str, changes: Mapping[str, Any]) -> nn.Module:
    """The same after changes of the config by dotted key."""
    config = copy.deepcopy(load(name))
    config.merge_from_dict(changes)
    return build_model(config.model, config.default_scope)


def build_model(model: ConfigDict, scope: str = 'mmrefseg') -> nn.Module:
    """The model of a config on the meta device, built once per session."""
    key = scope, str(model)
    if key not in _models:
        _models[key] = _build_model(copy.deepcopy(model), scope)
    return _models[key]


def _build_model(model: ConfigDict, scope: str) -> nn.Module:
    if 'mmdet.' in str(model):
        pytest.importorskip('mmdet.models')
    if model.backbone.type.startswith('mmpretrain.'):
        skip_without_mmpretrain()
    # mmpretrain's backbones look at values of tensors while they are built.
    device = 'cpu' if model.backbone.type.startswith('mmpretrain.') else 'meta'
    mmrefseg.register_all_modules(init_default_scope=False)
    with torch.device(device), DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model).to('meta')


def newer_style(config: Config) -> str:
    """The text of a config in MMEngine's newer style: it imports classes and holds them where another has their names.

    Args:
        config: of the classic style. Its default scope, by which alone its names are known, is left out.
    """
    imports, settings = set(), []

    def text(part: Any, key: object = None) -> str:
        if isinstance(part, dict):
            return f'{{{", ".join(f"{name!r}: {text(value, name)}" for name, value in part.items())}}}'
        if isinstance(part, list | tuple):
            inner = ''.join(f'{text(value)}, ' for value in part)
            return f'[{inner}]' if isinstance(part, list) else f'({inner})'
        if key == 'type' and (kind := _registered(part, config.default_scope)):
            imports.add(f'from {kind.__module__} import {kind.__qualname__}')
            return kind.__qualname__
        return repr(part)

    for name, value in config.items():
        if name != 'default_scope':
            settings.append(f'{name} = {text(value)}')
    return '\n'.join([*sorted(imports), *settings]) + '\n'


def _registered(name: str, scope: str) -> type | None:
    for root in vars(mmengine.registry).values():
        if isinstance(root, Registry) and root.parent is None:
            with root.switch_scope_and_registry(scope) as node:
                if kind := node.get(name):
                    return kind
    return None


def differences(ours: Mapping, theirs: Mapping, prefix: str = '') -> dict[str, Any]:
    """Dotted key → value in ``ours`` of everything that is not equal in ``theirs``; ``'absent'`` if there is none."""
    found = {}
    for key in {**ours, **theirs}:
        a, b = ours.get(key, 'absent'), theirs.get(key, 'absent')
        if isinstance(a, dict) and isinstance(b, dict):
            found |= differences(a, b, f'{prefix}{key}.')
        elif a != b:
            found[prefix + key] = a
    return found


def changes(name: str, base: str) -> dict[str, Any]:
    """The differences of one config from another."""
    return differences(load(name).to_dict(), load(base).to_dict())


def part_classes(name: str) -> set[type]:
    """The classes of all modules of its model."""
    return {type(module) for module in build(name).modules()}


def mixtures(model: nn.Module) -> dict[str, ExpertMixture]:
    """Name of the router → mixture of experts."""
    return {module.router.name: module for module in model.modules() if isinstance(module, ExpertMixture)}
