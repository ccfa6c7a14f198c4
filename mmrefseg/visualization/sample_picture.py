"""One expression as a picture: truth, answer, probabilities and routing side by side."""
from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .answer_pictures import write_caption
from .figure_style import FAINT, INK, expert_colours
from .fonts import font_for
from .mask_overlays import MASK_COLOUR, TRUTH_COLOUR, heat_map, overlay_mask, shrink

Routing = Mapping[str, Mapping[str, float]]

# In pixels.
_SIDE, _GAP, _HEAD, _LABEL, _LINE = 360, 12, 66, 26, 18


class SampleView(NamedTuple):
    """What is known of an expression; what is None isn't drawn.

    Args:
        image: RGB uint8 (H, W, 3).
        expression: of any length, in any letters.
        truth: (H, W).
        answer: (H, W).
        probability: floating point (H, W), 0 to 1.
        routing: router → expert → weight, 0 to 1.
    """

    image: np.ndarray
    expression: str
    truth: np.ndarray | None = None
    answer: np.ndarray | None = None
    probability: np.ndarray | None = None
    routing: Routing | None = None

    @property
    def iou(self) -> float | None:
        """IoU of truth and answer, 0 to 1; 1 where both are empty, None where one isn't known."""
        if self.truth is None or self.answer is None:
            return None
        truth, answer = self.truth != 0, self.answer != 0
        union = np.count_nonzero(truth | answer)
        return np.count_nonzero(truth & answer) / union if union else 1.0


def draw_sample(view: SampleView) -> np.ndarray:
    """Draw an expression as heading of its panels: the truth, the answer with IoU, probabilities, routing.

    Args:
        view: what is known.

    Returns:
        RGB uint8; each panel is 360 pixels high or wide.

    Raises:
        InputError: image and masks differ in size.
    """
    panels = _panels(view)
    height = max(picture.shape[0] for picture, _ in panels)
    width = _GAP + sum(picture.shape[1] + _GAP for picture, _ in panels)
    canvas = Image.new('RGB', (width, _HEAD + height + _LABEL), 'white')
    pen, left = ImageDraw.Draw(canvas), _GAP
    write_caption(pen, view.expression, (width // 2, _HEAD - 8), width - 2 * _GAP)
    for picture, label in panels:
        canvas.paste(Image.fromarray(picture), (left, _HEAD))
        middle = left + picture.shape[1] // 2
        write_caption(pen, label, (middle, _HEAD + height + _LABEL - 6), picture.shape[1], 1, 15)
        left += picture.shape[1] + _GAP
    return np.asarray(canvas)


def _panels(view: SampleView) -> list[tuple[np.ndarray, str]]:
    scale = _SIDE / max(view.image.shape[:2])
    panels = []
    for mask, colour, label in ((view.truth, TRUTH_COLOUR, 'truth'), (view.answer, MASK_COLOUR, _answer_label(view))):
        if mask is not None:
            panels.append((overlay_mask(*shrink(view.image, mask, scale), colour), label))
    if not panels:
        panels.append((shrink(view.image, np.zeros(view.image.shape[:2]), scale)[0], 'image'))
    height, width = panels[0][0].shape[:2]
    if view.probability is not None:
        heat = heat_map(view.image, view.probability)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        label = 'probability, partly NaN' if np.isnan(view.probability).any() else 'probability'
        panels.append((cv2.resize(heat, (width, height), interpolation=how), label))
    if view.routing:
        panels.append((_draw_routing(view.routing), 'routing'))
    return panels


def _answer_label(view: SampleView) -> str:
    return 'answer' if view.iou is None else f'answer, IoU {100 * view.iou:.1f} %'


def _draw_routing(routing: Routing) -> np.ndarray:
    """A bar per router, divided among its experts by their weights, and below them what the colours mean."""
    experts = list(dict.fromkeys(expert for weights in routing.values() for expert in weights))
    colours = {expert: tuple(round(255 * part) for part in colour)
               for expert, colour in expert_colours(experts).items()}
    canvas = Image.new('RGB', (_SIDE, 2 * _LINE * len(routing) + _LINE * len(experts) + _GAP), 'white')
    pen, font = ImageDraw.Draw(canvas), font_for('a', 13)
    for row, (router, weights) in enumerate(routing.items()):
        top, left, total = 2 * _LINE * row, 0.0, sum(weights.values()) or 1
        pen.text((0, top), router, FAINT, font)
        for expert, weight in weights.items():
            right = left + _SIDE * weight / total
            if round(right) > round(left):
                pen.rectangle((round(left), top + _LINE, round(right) - 1, top + 2 * _LINE - 3), colours[expert])
            left = right
    for row, expert in enumerate(experts):
        top = 2 * _LINE * len(routing) + _GAP + _LINE * row
        pen.rectangle((0, top + 2, 11, top + 13), colours[expert])
        pen.text((18, top), expert, INK, font)
    return np.asarray(canvas)
