"""From a config to a model and its pipeline, without a Runner."""
from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from traceback import FrameSummary, extract_tb
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config, DictAction
from mmengine.config.utils import ConfigParsingError
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from yaml import YAMLError

from mmrefseg.errors import InputError, MissingInputError, UserError
from mmrefseg.registry import MODELS, TRANSFORMS, type_name
from mmrefseg.utils.shipped_files import config_path

from .config_type_names import with_names

if TYPE_CHECKING:
    from mmengine.model import BaseModel

# A question brings its image along, and comes without an answer.
_LOADING = ('LoadReferringImage', 'LoadReferringMask')


def read_config(config: str | Path | Config, options: Mapping[str, Any] | None = None,
                needs_model: bool = True) -> Config:
    """Read a config, with names where it has classes (see :func:`~.config_type_names.with_names`).

    Args:
        config: path of a config, the name of one that comes with mmrefseg, or a config, which stays as it is.
        options: settings to override, such as ``{'model.backbone.tuning': 'none'}``. Default None.
        needs_model: whether a config of data alone is refused. Default True.

    Raises:
        MissingInputError: there is no such config, or one that it inherits is missing.
        InputError: it is no config, or has no model.
    """
    if not isinstance(config, Config):
        config = _load(str(config) if Path(config).is_file() else config_path(str(config)))
    config = with_names(config)
    if options:
        config.merge_from_dict(dict(options))
    if needs_model and 'model' not in config:
        raise InputError(f'{config.filename or "the config"} has no model: it is a part for others to inherit. Name a '
                         'whole config.')
    return config


def add_cfg_options(parser: ArgumentParser, example: str) -> None:
    """Add the option that gives :func:`read_config` its ``options``.

    Args:
        parser: the tool's parser, which is changed.
        example: one or several of them, such as ``'train_dataloader.batch_size=8'``.
    """
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help=f'override settings of configs, such as {example}')


def _load(path: str) -> Config:
    """Read a file; what goes wrong in a config's own code, as it is a program, stays as it is."""
    try:
        return Config.fromfile(path)
    except (OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError, ConfigParsingError,
            YAMLError) as error:
        if isinstance(error, UserError) or any(frame.name == '<module>' for frame in _inside_mmengine(error)):
            raise
        if 'does not support to load mmrefseg' in str(error):
            raise InputError(f"{path} inherits 'mmrefseg::…', which MMEngine knows of its own packages only. Write "
                             "_base_ = __import__('mmrefseg').config_path('sera/sera_dinov2_refcoco.py')") from error
        kind = MissingInputError if isinstance(error, FileNotFoundError) else InputError
        raise kind(f'{path} cannot be read as a config: {type(error).__name__}: {error}\nA config is a .py, .json or '
                   '.yaml file, and so is each that it names in _base_.') from error


def _inside_mmengine(error: BaseException) -> list[FrameSummary]:
    """The calls that led to an error from ``Config.fromfile`` on."""
    calls = extract_tb(error.__traceback__)
    return calls[next(i for i, call in enumerate(calls) if call.name == 'fromfile'):]


def build_model(config: Config) -> BaseModel:
    """Build a config's model with random weights; pretrained files aren't read.

    Args:
        config: a whole config; its ``model`` is built, in its ``default_scope``.
    """
    # A notebook may have set another library's scope before.
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmrefseg')):
        return MODELS.build(config.model)


def pipeline_of(config: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Configs of the test pipeline's steps, that of the data set inside where another wraps it; None without one.

    Args:
        config: a whole config.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    while 'pipeline' not in dataset and isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset['dataset']
    return dataset.get('pipeline')


def inference_pipeline(config: Config) -> Compose:
    """The test pipeline without its first steps, which load image and mask.

    It takes dicts with ``img``, ``img_shape``, ``ori_shape`` and ``text``.

    Args:
        config: a whole config with a ``test_dataloader``.

    Raises:
        InputError: the config has no test pipeline.
    """
    steps = pipeline_of(config)
    if steps is None:
        raise InputError(f'{config.filename or "the config"} has no test_dataloader.dataset.pipeline, which tells how '
                         'the model wants its images. Add one, such as that of _base_/datasets/refcoco.py.')
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmrefseg')):
        return Compose([TRANSFORMS.build(step) for step in steps if type_name(step['type']) not in _LOADING])


def check_device(name: str) -> torch.device:
    """The device that a name stands for, tried out.

    Args:
        name: PyTorch's name, such as ``'cpu'`` or ``'cuda:1'``.

    Raises:
        InputError: there is no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f'{name!r} is no device: {error}') from error
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"there is no device {name!r}: PyTorch sees {torch.cuda.device_count()} GPUs here. Use 'cpu', "
                         'or leave the device out.')
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition('. ')[0]
        raise InputError(f"PyTorch cannot use {name!r} here: {reason}. Use 'cpu', or leave the device out.") from error
    return device
