"""The config of a fine-tuning: a model of any config, on a folder of one's own data."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.checkpoints.trained_only import is_delta
from mmrefseg.datasets import JSONLinesDataset
from mmrefseg.datasets.dataset_configs import build_unread, dataset_config
from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import type_name
from mmrefseg.utils.safe_names import split_name
from mmrefseg.utils.shipped_files import config_path, shipped_folder

from .config_to_model import read_config

_GRES = dict(type='GRESMetric', prefix='gres', min_pixels=1)
_AVERAGED = 10  # over the last tenth of the steps
_NEW = 6.0  # times the learning rate, for what the checkpoint doesn't have
TUNINGS = ('none', 'norm_bias', 'all')


class OwnData(NamedTuple):
    """What a folder of one's own data holds.

    Args:
        folder: the folder, absolute.
        train: objects with their expressions to train on.
        tested: splits to test on, the one to validate on first.
        has_empty: whether some of their expressions refer to nothing.
    """

    folder: Path
    train: int
    tested: list[str]
    has_empty: bool


def look_at(folder: str | Path) -> OwnData:
    """Read the lines of a folder of one's own data; all of them are checked.

    Args:
        folder: with ``annotations`` and ``images``.

    Raises:
        MissingInputError: it, or its split ``train``, is missing.
        InputError: a line is broken, a split has no name that files and commands take, or there is nothing to validate
            on.
    """
    dataset = JSONLinesDataset(str(folder), lazy_init=True)
    splits = [split_name(split, f'{folder}: a split') for split in dataset.splits()]
    number = len(dataset.referents())
    others = sorted(set(splits) - {'train'}, key=lambda split: (split != 'val', split))
    if not others:
        raise InputError(f'{folder} has the split train alone, so that nothing tells whether fine-tuning helps. Make '
                         'annotations/val.jsonl of other pictures, as mmrefseg import does with --split train=0.8 '
                         'val=0.2')
    referents = [referent for split in others for referent in JSONLinesDataset(str(folder), split, lazy_init=True)
                 .referents()]
    return OwnData(Path(folder).absolute(), number, others,
                   any(referent['segmentation'] is None for referent in referents))


def config_of(checkpoint: str | Path) -> str:
    """The config that came with mmrefseg and that a checkpoint was trained with, by the file beside it.

    A config beside a checkpoint is a program, and may be anybody's: only its name is looked at.

    Args:
        checkpoint: in the work folder of a training.

    Raises:
        InputError: nothing beside it tells.
    """
    found = set()
    for file in Path(checkpoint).absolute().parent.glob('*.py'):
        try:
            found.add(config_path(file.stem))
        except (InputError, MissingInputError):
            continue
    if len(found) != 1:
        raise InputError(f'nothing beside {checkpoint} tells which config it was trained with: name it with --config')
    return found.pop()


def finetune_config(base: str | Path | Config,
                    data: OwnData,
                    checkpoint: str | Path | None = None,
                    epochs: int | None = None,
                    lr_scale: float = 0.5,
                    tune: str | None = None,
                    may_differ: Sequence[str] = (),
                    keep: float = 0.0,
                    absent: float = 0.0) -> Config:
    """Make a config that tunes the model of another one.

    Model, optimizer, batch and input size are those of ``base``, schedule and hooks those of
    ``_base_/schedules/schedule_finetune.py``, data those of ``_base_/datasets/own_data.py``.

    Args:
        base: config of the model, by path or name.
        data: one's own data.
        checkpoint: where to start from, whole or of what was trained. Default None: the pretrained encoders alone.
        epochs: passes through the data. Default None, the schedule's.
        lr_scale: learning rate, as a share of that of ``base``. Default 0.5.
        tune: what of the encoders trains: ``'none'``, ``'norm_bias'`` or ``'all'``. Default None, as in ``base``.
        may_differ: beginnings of names of weights that need not fit the checkpoint. Default none.
        keep: samples that ``base`` trained on per sample of one's own, mixed in so that the model keeps what it can.
            Default 0.
        absent: share of one's own samples that are asked for what is not there (``AbsentExpressions``); the head, if
            it is ours, then has a presence output. Default 0.

    Raises:
        MissingInputError: there is no such config or checkpoint, or, with ``keep``, no data of ``base``.
        InputError: a setting makes no sense.
    """
    base = read_config(base)
    parts = [Config.fromfile(str(shipped_folder('configs') / '_base_' / part))
             for part in ('datasets/own_data.py', 'schedules/schedule_finetune.py')]
    config = Config({**parts[0]._cfg_dict, **parts[1]._cfg_dict})
    config.model, config.optim_wrapper = deepcopy(base.model), deepcopy(base.optim_wrapper)
    config.optim_wrapper.optimizer.lr = config.lr = lr_scale * base.optim_wrapper.optimizer.lr
    config.randomness = dict(seed=0)
    _set_epochs(config, epochs)
    _set_data(config, base, data)
    samples = data.train
    if absent:
        may_differ = [*may_differ, *_ask_for_absent(config, absent)]
    if keep:
        samples += _mix_in(config, base, data, keep)
    _set_averaging(config, samples)
    if tune is not None:
        _set_tuning(config.model, tune)
    _set_start(config, checkpoint, may_differ)
    return config


def _set_epochs(config: Config, epochs: int | None) -> None:
    if epochs is None:
        return
    if epochs < 1:
        raise InputError(f'the number of epochs must be at least 1, got {epochs}')
    warm_up, decay = config.param_scheduler
    warm_up.end = decay.begin = config.warm_up = max(1, round(epochs * config.warm_up / config.epochs))
    decay.end, decay.T_max = max(epochs, warm_up.end + 1), max(epochs - warm_up.end, 1)
    config.epochs = config.train_cfg.max_epochs = epochs
    config.train_cfg.val_interval = min(config.train_cfg.val_interval, epochs)


def _set_averaging(config: Config, samples: int) -> None:
    """Average weights over the last tenth of the steps, so that a short training doesn't end near its beginning."""
    steps = config.train_cfg.max_epochs * max(samples // config.train_dataloader.batch_size, 1)
    average = next(hook for hook in config.custom_hooks if hook.type == 'EMAHook')
    average.momentum = min(_AVERAGED / steps, 0.5)


def _set_data(config: Config, base: Config, data: OwnData) -> None:
    config.data_root = str(data.folder)
    square = next((step for step in dataset_config(base, 'test').get('pipeline', ()) if 'size' in step), None)
    for name, own in (('train', 'train'), ('val', data.tested[0]), ('test', data.tested[0])):
        loader = config[f'{name}_dataloader']
        loader.batch_size = base[f'{name}_dataloader'].batch_size
        loader.dataset.update(data_root=str(data.folder), split=own)
        if square is not None:
            loader.dataset.pipeline = [dict(square) if type_name(step['type']) == 'Letterbox' else step
                                       for step in loader.dataset.pipeline]
    config.train_dataloader.batch_size = min(config.train_dataloader.batch_size, data.train)
    if type_name(base.train_dataloader.get('sampler', {}).get('type', '')) == 'ImageGroupsInfiniteSampler':
        config.train_dataloader.sampler = dict(type='ImageGroupsSampler')
    for name in ('dataset', 'train_pipeline', 'test_pipeline', 'image_dir', 'split_by', 'input_size', 'batch_size'):
        config.pop(name, None)  # what the parts computed the rest from
    if data.has_empty:
        config.test_evaluator = [config.test_evaluator, _GRES]


def _ask_for_absent(config: Config, rate: float) -> list[str]:
    """Train on what is not there, too; returns the names of weights that a checkpoint may lack."""
    loader = config.train_dataloader
    loader.dataset = dict(type='AbsentExpressions', rate=rate, dataset=loader.dataset)
    if isinstance(config.test_evaluator, Mapping):
        config.test_evaluator = [config.test_evaluator, _GRES]
    if type_name(config.model.decode_head.type) != 'DynamicKernelHead':
        return []
    config.model.decode_head.setdefault('presence', {})
    # The rest has been trained before, this begins with nothing.
    rates = config.optim_wrapper.setdefault('paramwise_cfg', {}).setdefault('custom_keys', {})
    rates.setdefault('decode_head.presence', dict(lr_mult=_NEW))
    return ['decode_head.presence']


def _mix_in(config: Config, base: Config, data: OwnData, keep: float) -> int:
    """Train on samples of the base's data, too: evenly picked, as many as asked for; returns their number."""
    if not 0 < keep <= 100:
        raise InputError(f'the number of old samples per own one must lie above 0 and be at most 100, got {keep}')
    old = deepcopy(dataset_config(base, 'train'))
    number = len(build_unread(old).referents())
    wanted = min(number, round(keep * data.train))
    own = config.train_dataloader.dataset
    old.update(indices=[index * number // wanted for index in range(wanted)],
               pipeline=own.get('dataset', own).pipeline)
    config.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[own, old],
        ignore_keys=['dataset_type', 'split', 'split_by'])
    config.train_dataloader.sampler = dict(type='SeededSampler')  # which needn't know the images
    return wanted


def _set_tuning(model: Mapping[str, Any], tune: str) -> None:
    if tune not in TUNINGS:
        raise InputError(f'tune is {tune!r}; it must be one of {", ".join(TUNINGS)}')
    for part in ('backbone', 'text_encoder'):
        model[part]['tuning'] = tune


def _set_start(config: Config, checkpoint: str | Path | None, may_differ: Sequence[str]) -> None:
    if checkpoint is None:
        config.load_from = None
        return
    config.load_from = str(Path(checkpoint).absolute())
    if may_differ:
        config.default_hooks.load_checkpoint.may_differ = list(may_differ)
    if not is_delta(load_from_local(checkpoint)):
        for part in _pretrained(config.model):
            part['init_cfg'] = None  # all of its weights are in the checkpoint


def _pretrained(part: Any) -> Iterator[Any]:
    """Configs of parts that would read a pretrained file."""
    if isinstance(part, list | tuple):
        for inner in part:
            yield from _pretrained(inner)
    elif isinstance(part, Mapping):
        if isinstance(part.get('init_cfg'), Mapping) and part['init_cfg'].get('type') == 'Pretrained':
            yield part
        for inner in part.values():
            yield from _pretrained(inner)
