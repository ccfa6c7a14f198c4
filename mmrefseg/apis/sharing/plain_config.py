"""A config as data: what answering needs, flattened, and nothing that could be a program when others load it."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS, TRANSFORMS

from ..config_to_model import pipeline_of

_SCOPE = 'mmrefseg'
_HOMES = ('mmrefseg.', 'torch.nn.', 'mmcv.cnn.', 'mmengine.model.')
_LARGEST = 1 << 20  # number in a config; vocabularies have up to 250,000 words
_MEND = 'Its weights load with a config of your own: RefSegInferencer(CONFIG, FOLDER/model.safetensors)'


def flatten(config: Config) -> dict[str, Any]:
    """What of a config answering needs, as JSON holds it: the model and its test pipeline.

    Where pretrained weights lie isn't told, as those of the model are complete.

    Args:
        config: a whole config.

    Raises:
        InputError: it has no test pipeline, or holds what JSON cannot, or parts that :func:`check_plain` refuses.
    """
    whole = config.to_dict()
    pipeline = pipeline_of(whole)
    if pipeline is None or 'model' not in whole:
        raise InputError(f'{config.filename or "the config"} has no model, or no test_dataloader.dataset.pipeline')
    plain = dict(default_scope=_SCOPE, model=_without_init(whole['model']),
                 test_dataloader=dict(dataset=dict(pipeline=pipeline)))
    try:
        plain = json.loads(json.dumps(plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f'{config.filename or "the config"} cannot be written as JSON ({error}). Name parts by '
                         'strings, and let them be numbers, strings, lists and dicts') from None
    check_plain(plain)
    return plain


def check_plain(plain: Any) -> None:
    """Make sure that building a config of others runs no code but that of mmrefseg and of plain layers.

    Args:
        plain: what its JSON holds.

    Raises:
        InputError: it has another shape, names a part that isn't one of these, or has a number that is larger than any
            of a model, such as of layers: lists of that length would be made before the first is built.
    """
    pipeline = _get(_get(_get(plain, 'test_dataloader'), 'dataset'), 'pipeline')
    if not isinstance(pipeline, list) or not isinstance(_get(plain, 'model'), dict) or plain.keys() != {
            'default_scope', 'model', 'test_dataloader'} or plain['default_scope'] != _SCOPE:
        raise InputError('the config is not as mmrefseg push writes it')
    for registry, part in ((MODELS, plain['model']), (TRANSFORMS, pipeline)):
        for element in _dicts(part):
            if endless := [key for key, value in element.items() if not _is_small(value)]:
                raise InputError(f'the config has the setting {endless[0]!r} with a number above {_LARGEST}, as no '
                                 'model has')
            if hidden := [key for key in element if key.startswith('_')]:
                raise InputError(f'the config has the setting {hidden[0]!r}, which has a meaning of its own')
            if 'type' in element:
                _check_type(element['type'], registry)


def _get(element: Any, key: str) -> Any:
    if not isinstance(element, dict) or key not in element:
        raise InputError(f'the config has no {key!r}; expected was one as mmrefseg push writes it')
    return element[key]


def _check_type(name: Any, registry: Registry) -> None:
    found = None
    if isinstance(name, str) and re.fullmatch(rf'({_SCOPE}\.)?\w+', name):
        found = _registered(name.removeprefix(f'{_SCOPE}.'), registry)
    if found is None or not f'{found.__module__}.'.startswith(_HOMES):
        raise InputError(f'the config names {str(name)[:80]!r}, which is no part of mmrefseg: parts of others are not '
                         f'built from a file, as they could do anything. {_MEND}')


def _registered(name: str, registry: Registry | None) -> Any:
    """What a registry or one above it has by a name; nothing is imported for it, as MMEngine would."""
    while registry is not None:
        registry.import_from_location()
        if name in registry.module_dict:
            return registry.module_dict[name]
        registry = registry.parent
    return None


def _is_small(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_small, value))
    return isinstance(value, dict) or not isinstance(value, int | float) or abs(value) <= _LARGEST


def _dicts(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    if isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _dicts(inner)


def _without_init(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {key: None if key == 'init_cfg' else _without_init(value) for key, value in part.items()}
    return [_without_init(value) for value in part] if isinstance(part, list | tuple) else part
