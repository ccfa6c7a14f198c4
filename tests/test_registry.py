"""Wrong settings of every registered part end in one message, whoever constructs it."""
from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from torch import nn

import mmrefseg
from mmrefseg import registry
from mmrefseg.datasets.transforms import Letterbox, RandomErasing, Stretch
from mmrefseg.errors import InputError, InputTypeError, UserError
from mmrefseg.registry import MODELS, type_name
from mmrefseg.utils.constructor_checks import settings_of

mmrefseg.register_all_modules(init_default_scope=False)


class _Tokenizer(nn.Module):
    tokenize = encode_image = answer = None
    test_cfg: dict = {}


_CLIP = dict(embed_dim=8, text_cfg=dict(context_length=8, vocab_size=49408, width=8, heads=2, layers=1),
             vision_cfg=dict(layers=(1, 1, 1, 1), width=4, image_size=32, head_width=4))
_VIT = dict(embed_dim=8, depth=1, num_heads=2, mlp_ratio=1.0, img_size=28, out_indices=(0, ))
_PARTS = dict(
    text_encoder=dict(type=_Tokenizer),
    backbone=dict(type='PlainViT', **_VIT),
    decode_head=dict(type='DynamicKernelHead', in_channels=8, text_channels=8, sentence_channels=8, num_heads=2,
                     num_layers=1, ffn_channels=8))


class _Samples(list):
    def image_numbers(self):
        return np.zeros(1, np.int64)


# Settings that a part needs, or that keep it small.
_VALID: dict[str, dict[str, Any]] = dict(
    Albumentations=dict(transforms=[]),
    AbsentExpressions=dict(dataset=dict(type='RefCOCODataset', data_root='a', lazy_init=True), lazy_init=True),
    AtomicCheckpointHook=dict(rule='greater'),
    BFloat16OptimWrapper=dict(optimizer=torch.optim.SGD([nn.Parameter(torch.zeros(1))])),
    CLIPResNet=dict(arch=_CLIP),
    ChangedExpressions=dict(dataset=dict(type='RefCOCODataset', data_root='a', lazy_init=True), change='nouns',
                            lazy_init=True),
    CRISFPN=dict(in_channels=(4, 4, 4), channels=(4, 4, 4), sentence_channels=8),
    DETRISAdapter=dict(dims=8, text_channels=8, channels=16),
    DeformableSEProjector=dict(in_channels=8, channels=4),
    DumpPredictions=dict(out_file='answers.json'),
    DynamicKernelHead={key: value for key, value in _PARTS['decode_head'].items() if key != 'type'},
    PlainViT=_VIT,
    ImageGroupsInfiniteSampler=dict(dataset=_Samples(), per_image=2),
    ImageGroupsSampler=dict(dataset=_Samples()),
    MuonAdamW=dict(params=[nn.Parameter(torch.zeros(1))]),
    OpenCLIPTextEncoder=dict(arch=_CLIP, num_tokens=8),
    RefSegInferencer=dict(config=Config(dict(model=dict(type=_Tokenizer), test_dataloader=dict(
        dataset=dict(pipeline=[])))), weights=None, device='cpu'),
    PresenceOutput=dict(in_channels=8, sentence_channels=8),
    ReferringMixture=dict(datasets=[dict(type='RefCOCODataset', data_root='a')]),
    ReferringSegmentor=_PARTS,
    SERAAdapter=dict(dims=8, text_channels=8, channels=16),
    SERAFusion=dict(in_channels=(8, ), channels=4, sentence_channels=8, num_heads=2, router_channels=4),
    SameImageSampler=dict(dataset=[0]),
    SeededInfiniteSampler=dict(dataset=[0]),
    SeededSampler=dict(dataset=[0]),
    ShuffledExpressions=dict(dataset=dict(type='RefCOCODataset', data_root='a', lazy_init=True), lazy_init=True),
)
# Values of CheckpointHook's settings that MMEngine refuses itself, and what it gives to optimizers.
_MMENGINES = {'file_client_args', 'params', 'rule', 'save_begin'}
_WRONG = ('five', '', -1, 0, 5, 5.5, -0.5, float('nan'), float('inf'), True, None, b'five', 1j, object(), (), [],
          ['five'], [5.5], [-1], [[1]], [None, {}], (1, 2, 3), {}, {'five': 5}, {5: object()}, dict(type='five'), {1},
          range(2), len, int, np.zeros((2, 2)), np.float32(0.5), torch.zeros(2, 2), Path('five'))


def _registered() -> dict[str, type]:
    nodes = [node for node in vars(registry).values() if isinstance(node, Registry)]
    return {name: kind for node in nodes for name, kind in node.module_dict.items()
            if kind.__module__.startswith('mmrefseg.')}


def _valid(name: str) -> dict[str, Any]:
    settings = dict(_VALID.get(name, {}))
    known = settings_of(_registered()[name]).parameters
    defaults = dict(data_root='a', lazy_init=True, size=28, loss_weight=1.0)
    if name == 'ReferringMixture':
        del defaults['data_root']
    needed = {key for key, parameter in known.items() if parameter.default is inspect.Parameter.empty} | {'lazy_init'}
    return {key: value for key, value in defaults.items() if key in known.keys() & needed} | settings


def _error(kind: type, **settings: Any) -> Exception | None:
    try:
        kind(**settings)
    except Exception as error:  # noqa: BLE001  all kinds are looked at
        return error


@pytest.fixture(autouse=True)
def _mmrefseg_scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


@pytest.mark.parametrize('name', sorted(_registered()))
def test_every_wrong_setting_of_every_part_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No value at all ends in anything but a part, or an error of ours that names the setting."""
    if name == 'Albumentations':
        pytest.importorskip('albumentations')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(open_clip, 'SimpleTokenizer', lambda: None)  # which takes long to build
    kind, valid = _registered()[name], _valid(name)
    # Widths cost nothing there.
    with nullcontext() if name == 'RefSegInferencer' else torch.device('meta'):
        kind(**valid)
        for setting in settings_of(kind).hints.keys() - _MMENGINES:
            errors = [(value, _error(kind, **{**valid, setting: value})) for value in _WRONG]
            assert [(setting, value, error) for value, error in errors
                    if error is not None and not isinstance(error, UserError)] == []
            thing = next(error for value, error in errors if type(value) is object)
            assert isinstance(thing, UserError)
            assert setting in str(thing)
        unknown = _error(kind, **valid, fives=5)
    if settings_of(kind).open:
        return
    assert isinstance(unknown, InputTypeError)
    assert f'{name} has no setting \'fives\'' in str(unknown)


@pytest.mark.parametrize('name', sorted(_registered()))
def test_every_setting_has_a_type_hint(name: str) -> None:
    kind = _registered()[name]
    own = [base for base in kind.__mro__ if base.__module__.startswith('mmrefseg.') and '__init__' in vars(base)]
    for base in own:
        named = [parameter for parameter in list(inspect.signature(base.__init__).parameters.values())[1:]
                 if parameter.kind is not parameter.VAR_KEYWORD]
        assert [parameter.name for parameter in named if parameter.annotation is parameter.empty] == []


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(size='five'), "size of Letterbox is 'five'; it must be a whole number$"),
    (dict(size=True), 'size of Letterbox is True; it must be a whole number$'),
    (dict(sizes=5), "Letterbox has no setting 'sizes'; did you mean 'size'\\? Its settings are size$"),
    ({}, "Letterbox: missing a required argument: 'size'; its settings are size$"),
])
def test_messages(settings: dict, message: str) -> None:
    with pytest.raises(InputTypeError, match=message):
        Letterbox(**settings)
    with pytest.raises(InputTypeError, match=message):
        registry.TRANSFORMS.build(dict(type='Letterbox', **settings))


@pytest.mark.parametrize('size', [np.int64(28), np.uint8(28), torch.tensor(28), np.array(28)])
def test_numbers_of_numpy_and_pytorch_become_pythons(size: Any) -> None:
    assert type(Letterbox(size).size) is int
    assert Letterbox(size).size == 28


def test_lists_that_stand_for_tuples() -> None:
    area = RandomErasing(area=[np.float32(0.25), 1]).area
    assert area == (0.25, 1)
    assert [type(number) for number in area] == [float, int]
    given = [0.25, 0.5]
    RandomErasing(area=given)
    assert given == [0.25, 0.5]


def test_a_users_own_part_is_left_alone() -> None:
    """A sub-class of ours has our checks by its call of our constructor; what stands alone has its own habits."""

    class Mine(Stretch):
        def __init__(self, side: int = 'no number at all', **kwargs: Any) -> None:
            super().__init__(28, **kwargs)
            self.side = side

    class Alone:
        def __init__(self, side: int) -> None:
            self.side = side

    registry.TRANSFORMS.register_module(module=Mine, force=True)
    registry.TRANSFORMS.register_module(module=Alone, force=True)
    assert registry.TRANSFORMS.build(dict(type='Mine', side='five')).side == 'five'
    assert registry.TRANSFORMS.build(dict(type='Alone', side='five')).side == 'five'
    with pytest.raises(InputTypeError, match="Mine has no setting 'sides'"):
        Mine(sides=5)


@pytest.mark.parametrize(('config', 'message'), [
    ({}, 'a config names no model that is known'),
    (dict(type='SERAFussion'), "type='SERAFussion' names no model that is known; did you mean 'SERAFusion'\\?"),
    (dict(type='mmseg.FCNHeaddd'), "type='mmseg.FCNHeaddd' names no model"),
    ([dict(type='RouterZLoss', loss_weight=1.0), dict(type='gone')], "type='gone' names no model"),
])
def test_types_that_are_not_known(config: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MODELS.build(config)


def test_name_of_a_type() -> None:
    assert [type_name(kind) for kind in ('Stretch', 'mmrefseg.Stretch', Stretch)] == ['Stretch'] * 3
