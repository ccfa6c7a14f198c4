"""Refusing parts that don't fit together, when a segmentor is built of them."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import pairwise

from torch import nn

from mmrefseg.errors import InputError

from ..layers import check_setting
from .image_sharing import takes_text


def check_methods(parts: Mapping[str, nn.Module]) -> None:
    """Refuse parts that would fail when they are first called: for text they don't get, or methods they lack.

    Args:
        parts: backbone, necks and ``decode_head`` by their names.

    Raises:
        InputError: names the part.
    """
    for name, part in parts.items():
        if not hasattr(part, 'takes_text') and _wants_text(part.forward):
            raise InputError(f'forward of {name} ({type(part).__name__}) wants text, but the class does not say '
                             'so; write `takes_text = True` into it, or remove the argument `text`')
    head = parts['decode_head']
    expected = dict(loss='(maps, text, data_samples)', predict='(maps, text)') if takes_text(head) else dict(
        loss='(maps, data_samples, train_cfg)', predict='(maps, metas, test_cfg)')
    for name, arguments in expected.items():
        if not callable(getattr(head, name, None)):
            raise InputError(f'decode_head ({type(head).__name__}) has no `{name}`, with which the segmentor '
                             f'{"trains" if name == "loss" else "answers"}; add `{name}{arguments}`, as '
                             f'{"DynamicKernelHead" if takes_text(head) else "a head of mmseg"} has it')


def _wants_text(method: Callable) -> bool:
    """Whether a method has an argument ``text`` that it cannot do without."""
    text = inspect.signature(method).parameters.get('text')
    return text is not None and text.default is inspect.Parameter.empty


def check_text_widths(text_encoder: nn.Module, model: nn.Module) -> None:
    """Refuse parts that expect text features of another width than the text encoder's.

    Args:
        text_encoder: the text encoder.
        model: has the parts, at whatever depth.

    Raises:
        InputError: names the part.
    """
    widths = dict(
        text_channels=('word', getattr(text_encoder, 'channels', None)),
        sentence_channels=('sentence', getattr(text_encoder, 'sentence_channels', None)))
    for name, module in model.named_modules():
        for setting, (kind, width) in widths.items():
            expected = getattr(module, setting, None)
            if module is not text_encoder and None not in (expected, width) and expected != width:
                raise InputError(f'{setting} of {name} ({type(module).__name__}) is {expected}; it must be {width},'
                                 f" the width of {type(text_encoder).__name__}'s {kind} features")


def check_map_widths(parts: Mapping[str, nn.Module]) -> None:
    """Refuse a neck or head that expects maps of other widths than it gets, where both sides say what they are.

    Args:
        parts: backbone, necks and head by their names, in their order.

    Raises:
        InputError: names both.
    """
    for (source_name, before), (part_name, after) in pairwise(parts.items()):
        given, expected = _given_widths(before), getattr(after, 'in_channels', None)
        if not given or expected is None:
            continue
        part, source = f'{part_name} ({type(after).__name__})', f'{source_name} ({type(before).__name__})'
        # As in mmseg: one number means the last map, unless in_index chooses others, whose widths may be summed.
        index = getattr(after, 'in_index', -1 if isinstance(expected, int) else range(len(given)))
        indices = [index] if isinstance(index, int) else index
        check_setting(f'in_index of {part}', index, all(-len(given) <= i < len(given) for i in indices),
                      f'from 0 to {len(given) - 1}: {source} gives {len(given)} maps')
        widths = tuple(given[i] for i in indices)
        if isinstance(expected, int):
            check_setting(f'in_channels of {part}', expected, expected == sum(widths),
                          f'{sum(widths)}, the width of what {source} gives')
        else:
            check_setting(f'in_channels of {part}', tuple(expected), tuple(expected) == widths,
                          f'{widths}, the widths of the maps that {source} gives')


def _given_widths(part: nn.Module) -> tuple[int, ...]:
    """The width of each map that a part gives, where it says so: ours do, and the pyramids of mmseg and mmdet."""
    widths = getattr(part, 'out_channels', ())
    if isinstance(widths, int):
        return (widths, ) * getattr(part, 'num_outs', 0)
    return widths if isinstance(widths, tuple) else ()


def check_classes(head: nn.Module) -> None:
    """Refuse a head whose classes are more than background and referent, where it says how many it has.

    Args:
        head: the decode head.

    Raises:
        InputError: it has others.
    """
    classes = getattr(head, 'num_classes', None)
    channels = getattr(head, 'out_channels', classes)
    check_setting(f'num_classes of decode_head ({type(head).__name__})', classes,
                  classes is None or channels in (1, 2), '2, background and referent, with out_channels 1 or 2')
