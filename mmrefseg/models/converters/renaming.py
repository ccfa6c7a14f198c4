"""What converters of CRIS and its descendants share: tables of names, and the few changes of values.

A table is a tuple of (regular expression, replacement); all are applied in turn to a name within its part.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor
from typing_extensions import Self

from mmrefseg.errors import InputError

RenamingTable = tuple[tuple[str, str], ...]


class Conversion(NamedTuple):
    """What became of a checkpoint.

    Args:
        weights: name in our model → tensor.
        dropped: reason → names in the checkpoint of what was left out for it.
    """

    weights: dict[str, Tensor]
    dropped: dict[str, list[str]]

    @classmethod
    def of(cls, weights: dict[str, Tensor], dropped: Mapping[str, list[str]]) -> Self:
        """Make one without reasons for which nothing was left out.

        Args:
            weights: see :class:`Conversion`.
            dropped: see :class:`Conversion`; lists may be empty.
        """
        return cls(weights, {reason: names for reason, names in dropped.items() if names})


# A convolution (0) with its batch normalisation (1), at the end of a name.
CONV_LAYER: RenamingTable = ((r'\.0\.weight$', '.conv.weight'), (r'\.1\.(\w+)$', r'.bn.\1'))

CLIP_TEXT: RenamingTable = (
    (r'^transformer\.resblocks\.(\d+)\.adapter\.', r'adapters.\1.'),
    (r'^(?!adapters\.)', 'tower.'),
)

# What both necks end with.
REFINEMENT: RenamingTable = (
    (r'^aggr\.', 'reduce.'),
    (r'^coordconv\.0\.conv1\.', 'refine.0.conv.'),
    (r'^coordconv\.1\.', 'refine.1.'),
    *CONV_LAYER,
)

_DECODER: RenamingTable = (
    *((rf'\.norm{i + 1}\.', f'.norms.{i}.') for i in range(3)),
    (r'\.self_attn', '.self_attention'),
    (r'\.multihead_attn\.', '.cross_attention.'),
    (r'\.cross_attn_norm\.', '.cross_attention_norm.'),
)

_PROJECTOR: RenamingTable = (
    (r'^vis\.1\.', 'projector.conv1.'),
    (r'^vis\.3\.', 'projector.conv2.'),
    (r'^vis\.4\.', 'projector.out.'),
    (r'^txt\.', 'kernel.'),
    *CONV_LAYER,
)


def renamed(part: Mapping[str, Tensor], names: RenamingTable, prefix: str) -> dict[str, Tensor]:
    """Rename the weights of one part.

    Args:
        part: name → tensor.
        names: pairs of pattern and replacement, applied one after the other.
        prefix: what stands before each new name.
    """
    ours = {}
    for name, value in part.items():
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        ours[prefix + name] = value
    return ours


def convert_head(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Rename the weights of the decode head.

    Args:
        parts: the parts ``decoder`` and ``proj``, name → tensor each.
    """
    return {
        **renamed(parts['decoder'], _DECODER, 'decode_head.decoder.'),
        **renamed(parts['proj'], _PROJECTOR, 'decode_head.'),
    }


def split_checkpoint(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Take the weights out of a training checkpoint, and ``module.`` of DataParallel off their names.

    Args:
        checkpoint: a state dict, or a dict with one as ``state_dict`` among other things.

    Returns:
        The weights, and the names of the other things.
    """
    inner = checkpoint.get('state_dict')
    state, others = (inner, sorted(checkpoint.keys() - {'state_dict'})) if isinstance(inner, dict) else (checkpoint, [])
    return {str(name).removeprefix('module.'): value for name, value in state.items()}, others


def split_parts(state: Mapping[str, Tensor], parts: Iterable[str], what: str) -> dict[str, dict[str, Tensor]]:
    """Sort weights by the module that they belong to.

    Args:
        state: name → tensor.
        parts: the modules that a checkpoint of this kind consists of, the first component of its names.
        what: the method, for the message.

    Returns:
        Module → name within it → tensor.

    Raises:
        InputError: a module has no weights, there are other modules, or there is something else than tensors.
    """
    found: dict[str, dict[str, Tensor]] = {part: {} for part in parts}
    foreign = []
    for name, value in state.items():
        part, _, rest = name.partition('.')
        if part in found and rest and isinstance(value, Tensor):
            found[part][rest] = value
        else:
            foreign.append(name)
    missing = [part for part, weights in found.items() if not weights]
    if missing or foreign:
        problems = [f'nothing is there under {", ".join(missing)}'] if missing else []
        if foreign:
            examples = ', '.join(foreign[:3]) + (' …' if len(foreign) > 3 else '')
            problems.append(f'{len(foreign)} entries belong to none of them ({examples})')
        raise InputError(f'no checkpoint of {what}, whose weights lie under {", ".join(found)}: {"; ".join(problems)}')
    return found


def take_out(parts: Mapping[str, dict[str, Tensor]], names: Iterable[tuple[str, str]]) -> list[str]:
    """Take entries that our model has no use for out of ``parts``.

    Args:
        parts: module → name within it → tensor; changed.
        names: module and name of each; those that aren't there are passed over.

    Returns:
        The full names of those that were there.
    """
    return [f'{part}.{name}' for part, name in names if parts[part].pop(name, None) is not None]


def fold_biases(part: dict[str, Tensor]) -> list[str]:
    """Take the biases of convolutions ahead of a batch normalisation out of ``part``, into its running mean.

    Our convolutions have none there: in training a batch's mean takes it away, in evaluation a mean that is smaller by
    the bias does the same.

    Args:
        part: name → tensor with ``….conv.bias`` beside ``….bn.running_mean``; changed.

    Returns:
        The names of the biases.
    """
    folded = []
    for bias in [name for name in part if name.endswith('.conv.bias')]:
        mean = f'{bias.removesuffix("conv.bias")}bn.running_mean'
        if mean in part and part[mean].shape == part[bias].shape:
            part[mean] = part[mean] - part.pop(bias)
            folded.append(bias)
    return folded
