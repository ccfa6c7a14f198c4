"""How sure an answer may be: the chance that its mask overlaps the referent by half."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from mmrefseg.errors import InputError

_STEPS, _RIDGE, _LARGEST = 50, 1e-3, 20.0


class Calibration(NamedTuple):
    """From an expected overlap to a probability: its logit is divided by the temperature and shifted.

    Args:
        temperature: above 1 makes less sure. Default 1.0.
        shift: what is added. Default 0.0.
    """

    temperature: float = 1.0
    shift: float = 0.0

    def __call__(self, overlaps: Sequence[float] | np.ndarray) -> np.ndarray:
        """Probabilities, 0 where no overlap is expected: an empty mask overlaps nothing.

        Args:
            overlaps: expected overlaps, 0 to 1.
        """
        overlaps = np.asarray(overlaps, np.float64)
        return np.where(overlaps > 0, _sigmoid(_logits(overlaps) / self.temperature + self.shift), 0.0)


def calibration_of(setting: Mapping[str, Any] | None) -> Calibration | None:
    """The calibration that a config sets in ``model.test_cfg.calibration``.

    Args:
        setting: ``temperature`` and ``shift``; None, and there is none.

    Raises:
        InputError: it is something else.
    """
    if setting is None:
        return None
    numbers = list(setting.values()) if isinstance(setting, Mapping) else [None]
    if not all(type(number) in (int, float) and isfinite(number) for number in numbers) or not (
            setting.keys() <= set(Calibration._fields)) or setting.get('temperature', 1.0) <= 0:
        raise InputError(f'test_cfg.calibration is {setting!r}; it must be a dict of temperature, above 0, and shift, '
                         'as mmrefseg calibrate prints it')
    return Calibration(**setting)


def _logits(overlaps: np.ndarray) -> np.ndarray:
    inside = np.clip(overlaps, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -_LARGEST, _LARGEST)))


def fit_calibration(overlaps: Sequence[float], hits: Sequence[bool]) -> Calibration:
    """Fit temperature and shift by the likelihood of the hits (Platt's scaling); answers without a mask are left out.

    Args:
        overlaps: expected overlaps, 0 to 1.
        hits: whether each answer overlaps its referent by half.

    Raises:
        InputError: there are no answers with a mask, or all of them are hits or none.
    """
    expected, came = np.asarray(overlaps, np.float64), np.asarray(hits, np.float64)
    x, y = _logits(expected[expected > 0]), came[expected > 0]
    if not 0 < y.sum() < len(y):
        raise InputError(f'{len(y)} answers have a mask, of which {int(y.sum())} overlap their referent by half: a '
                         'calibration needs some that do and some that do not; fit it on more expressions')
    design, weights = np.stack([x, np.ones_like(x)], axis=1), np.array([1.0, 0.0])
    for _ in range(_STEPS):
        p = _sigmoid(design @ weights)
        # The ridge draws towards no change; it keeps the steps finite where hits and misses lie apart.
        gradient = design.T @ (p - y) + _RIDGE * (weights - [1, 0])
        curvature = design.T @ (design * (p * (1 - p))[:, None]) + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    slope = max(float(weights[0]), 1e-3)  # a model that is the surer the worse it is has nothing to say
    return Calibration(1 / slope, float(weights[1]))


class Bin(NamedTuple):
    """Answers whose confidence lies in one interval, and how many of them are hits.

    Args:
        number: of answers.
        confidence: their mean confidence, 0 to 1.
        share: of hits among them.
    """

    number: int
    confidence: float
    share: float


def reliability(confidences: Sequence[float], hits: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Confidence beside the share of hits, in equally wide bins; empty ones are left out.

    Args:
        confidences: probabilities.
        hits: what came out.
        bins: number of bins. Default 10.
    """
    said, came = np.asarray(confidences, np.float64), np.asarray(hits, np.float64)
    bin_of = np.minimum((said * bins).astype(int), bins - 1)
    return [Bin(int(chosen.sum()), float(said[chosen].mean()), float(came[chosen].mean()))
            for index in range(bins) if (chosen := bin_of == index).any()]


def expected_calibration_error(confidences: Sequence[float], hits: Sequence[bool], bins: int = 10) -> float:
    """Mean distance between confidence and share of hits over bins, weighted by their answers (arXiv 1706.04599).

    Args:
        confidences: probabilities.
        hits: what came out.
        bins: number of equally wide bins. Default 10.

    Raises:
        InputError: there are no answers.
    """
    if not len(confidences):
        raise InputError('there are no answers, so that nothing tells how well their confidence holds')
    return sum(found.number * abs(found.confidence - found.share)
               for found in reliability(confidences, hits, bins)) / len(confidences)
