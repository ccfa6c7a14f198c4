"""Confidence: expected overlaps, their calibration, and how well it holds."""
import numpy as np
import pytest
import torch

from mmrefseg.errors import InputError
from mmrefseg.evaluation.functional.calibration import (
    Bin,
    Calibration,
    calibration_of,
    expected_calibration_error,
    fit_calibration,
    reliability,
)
from mmrefseg.structures.overlap_estimate import expected_overlap


def test_expected_overlap_by_hand():
    probability = torch.tensor([[0.8, 0.6, 0.2, 0.0]])
    # Of two pixels 1.4 are expected inside; of all others 0.2 belong to the union.
    assert expected_overlap(probability.logit(), 0.35) == pytest.approx(1.4 / 2.2)
    assert expected_overlap(probability.logit(), 0.9) == 0
    assert expected_overlap(torch.full((2, 2), 50.0), 0.5) == pytest.approx(1)


def test_a_known_temperature_is_found_again():
    generator = np.random.default_rng(0)
    overlaps = generator.uniform(0.02, 0.98, 20000)
    truth = Calibration(temperature=2.5, shift=-0.4)
    hits = generator.uniform(size=overlaps.size) < truth(overlaps)
    found = fit_calibration(overlaps, hits)
    assert found.temperature == pytest.approx(2.5, rel=0.05) and found.shift == pytest.approx(-0.4, abs=0.05)
    assert expected_calibration_error(found(overlaps), hits) < 0.02 < expected_calibration_error(overlaps, hits)


def test_empty_masks_have_no_confidence_and_do_not_count():
    assert Calibration(shift=3.0)([0.0, 0.5]).tolist() == pytest.approx([0, 1 / (1 + np.exp(-3))])
    rows = [0.2, 0.8, 0.6, 0.4], [False, True, False, True]
    assert fit_calibration(*rows) == fit_calibration([*rows[0], 0, 0], [*rows[1], True, False])


@pytest.mark.parametrize('hits', [[True] * 4, [False] * 4])
def test_what_cannot_be_fitted(hits):
    with pytest.raises(InputError, match='4 answers have a mask, of which [04] overlap'):
        fit_calibration([0.2, 0.4, 0.6, 0.8], hits)


def test_apart_or_upside_down_it_stays_finite():
    found = fit_calibration([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    assert np.isfinite(found).all() and 0 < found.temperature < 1
    assert fit_calibration([0.1, 0.2, 0.8, 0.9], [True, True, False, False]).temperature == pytest.approx(1000)


@pytest.mark.parametrize('setting', [5, dict(temperature=0), dict(shift='x'), dict(heat=1.0), dict(shift=float('nan'))])
def test_settings_that_make_no_sense(setting):
    with pytest.raises(InputError, match='test_cfg.calibration is .* as mmrefseg calibrate prints it'):
        calibration_of(setting)


def test_a_setting():
    assert calibration_of(dict(temperature=2, shift=0.5)) == Calibration(2, 0.5) and calibration_of(None) is None


def test_reliability_by_hand():
    confidences, hits = [0.1, 0.15, 0.95, 1.0], [False, True, True, True]
    assert reliability(confidences, hits, bins=2) == [Bin(2, pytest.approx(0.125), 0.5), Bin(2, 0.975, 1.0)]
    assert expected_calibration_error(confidences, hits, bins=2) == pytest.approx((2 * 0.375 + 2 * 0.025) / 4)
    with pytest.raises(InputError, match='there are no answers'):
        expected_calibration_error([], [])
