"""Evaluation protocols: under which rules a prediction meets the ground truth."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_type_hints

from mmrefseg.errors import InputError
from mmrefseg.utils.type_hints import MISFIT, Range, fit, in_words

Side = Annotated[int, Range(1, 4096)]
Probability = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class Protocol:
    """The rules of one protocol; all are stored beside the figures that follow from them.

    Args:
        name: what figures and files call it.
        resolution: where prediction and truth meet: ``'original'``, on the image as it is, or (H, W) in pixels, to
            which both are stretched whatever the image's aspect. Default ``'original'``.
        interpolation: how the prediction gets there. ``'bicubic'``: probabilities, first to the size of the network's
            input, then cubically from there, with 0 outside of the input, as CRIS does. ``'bilinear'``: logits, in one
            step. Either way the logits' corners lie on the input's corners. Default ``'bilinear'``.
        truth_interpolation: how the truth is stretched, where it is: ``'nearest'``, as OpenCV's ``INTER_NEAREST``
            rounds, or ``'bilinear'``, cut at one half. Default ``'nearest'``.
        threshold: the probability that a pixel of the referent exceeds, strictly. Default 0.5.
        sentences: ``'every'`` sentence of a referent, or the ``'first'`` alone, that of the lowest ``sent_id``.
            Default ``'every'``.
        empty_union: the IoU where neither truth nor prediction has a pixel: 0, 1, or ``'skip'``, which leaves such
            expressions out of mIoU and Pr@X. Default 0.
        comparison: whether Pr@X asks for an IoU ``'>'`` or ``'>='`` X. An empty union that counts 0 never passes.
            Default ``'>'``.

    Raises:
        InputError: a rule is none of those above; names it.
    """

    name: str
    resolution: Literal['original'] | tuple[Side, Side] = 'original'
    interpolation: Literal['bicubic', 'bilinear'] = 'bilinear'
    truth_interpolation: Literal['nearest', 'bilinear'] = 'nearest'
    threshold: Probability = 0.5
    sentences: Literal['every', 'first'] = 'every'
    empty_union: Literal[0, 1, 'skip'] = 0
    comparison: Literal['>', '>='] = '>'

    def __post_init__(self) -> None:
        for rule, hint in get_type_hints(Protocol, include_extras=True).items():
            value = fit(getattr(self, rule), hint)
            if value is MISFIT or (rule == 'name' and not (value and value.isprintable() and '/' not in value)):
                raise InputError(f'{rule} of the protocol {str(self.name)[:80]!r} is {str(getattr(self, rule))[:80]!r};'
                                 f' it must be {in_words(hint)}' + ", not empty and without '/'" * (rule == 'name'))
            object.__setattr__(self, rule, value)

    @property
    def logit_threshold(self) -> float:
        """The logit that a pixel of the referent exceeds."""
        if self.threshold in (0, 1):
            return math.inf if self.threshold else -math.inf
        return math.log(self.threshold / (1 - self.threshold))

    def frame(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels of where prediction and truth of an image meet.

        Args:
            height: height of the image in pixels.
            width: width of the image in pixels.
        """
        return (height, width) if self.resolution == 'original' else self.resolution

    @property
    def mask_rules(self) -> tuple[Any, str, float]:
        """Resolution, interpolation and threshold: protocols that share them make the same masks."""
        return self.resolution, self.interpolation, self.threshold

    def to_dict(self) -> dict[str, Any]:
        """The rules, as JSON can hold them."""
        rules = asdict(self)
        return {**rules, 'resolution': list(self.resolution) if isinstance(self.resolution, tuple) else 'original'}

    def __str__(self) -> str:
        size = self.resolution if self.resolution == 'original' else '{}x{}'.format(*self.resolution)
        what = 'probabilities' if self.interpolation == 'bicubic' else 'logits'
        truth = '' if self.resolution == 'original' else f', truth {self.truth_interpolation}'
        return (f'{self.name}: resolution {size}, {self.interpolation} from {what}{truth}, probability > '
                f'{self.threshold:g}, {self.sentences} sentence, empty union {self.empty_union}, Pr@X asks for IoU '
                f'{self.comparison} X')


PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol('cris', interpolation='bicubic', threshold=0.35),
    Protocol('lavt', resolution=(480, 480), comparison='>='),
    Protocol('lisa', empty_union=1),
)}
"""The published ones by name: that of CRIS, ETRIS and DETRIS, that of LAVT, and that of LISA and most large models."""

ProtocolSetting = str | dict | Sequence[str | dict]
"""What configs say: a name, a dict of ``base``, a name, and the rules that differ from it, or several of either."""


def resolve_protocol(setting: str | Mapping[str, Any] | Protocol) -> Protocol:
    """Turn a setting into the protocol that it names or describes.

    Args:
        setting: a name; or a dict with ``base``, the name of the protocol to start from, and rules of
            :class:`Protocol` that differ. Without a ``name`` it is called by what differs: ``'lavt+resolution'``.

    Raises:
        InputError: there is no such protocol or rule, which names those that there are, or a rule isn't as it must be.
    """
    if isinstance(setting, Protocol):
        return setting
    if isinstance(setting, str):
        if setting not in PROTOCOLS:
            similar = get_close_matches(setting, PROTOCOLS, 1)
            hint = f'; did you mean {similar[0]!r}?' if similar else '.'
            raise InputError(f'there is no protocol {setting[:80]!r}{hint} There are {", ".join(PROTOCOLS)}, and a '
                             'dict with base and the rules that differ')
        return PROTOCOLS[setting]
    if not isinstance(setting, Mapping):
        raise InputError(f'a protocol is a name or a dict, got an object of type {type(setting).__name__}; there are '
                         f'{", ".join(PROTOCOLS)}')
    rules = dict(setting)
    base = resolve_protocol(rules.pop('base', None) or 'cris')
    known = [field.name for field in fields(Protocol)]
    if unknown := [rule for rule in rules if rule not in known]:
        raise InputError(f'a protocol has no rule {str(unknown[0])[:80]!r}; it has base, {", ".join(known)}')
    changed = replace(base, **rules)
    different = [rule for rule in known[1:] if getattr(changed, rule) != getattr(base, rule)]
    return changed if 'name' in rules else replace(changed, name='+'.join((base.name, *different)))


def resolve_protocols(setting: ProtocolSetting | Protocol) -> tuple[Protocol, ...]:
    """The protocols that a setting of one or of several means, in their order.

    Args:
        setting: what :func:`resolve_protocol` takes, or a list of it.

    Raises:
        InputError: as :func:`resolve_protocol`, or there is none, or two have one name.
    """
    several = [setting] if isinstance(setting, str | Mapping | Protocol) else list(setting)
    protocols = tuple(map(resolve_protocol, several))
    names = [protocol.name for protocol in protocols]
    if not names or len(set(names)) < len(names):
        raise InputError(f'protocol names {", ".join(names) or "none"}; expected were one or more of different names')
    return protocols
