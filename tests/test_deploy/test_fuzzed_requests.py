"""Damaged requests get an answer that says what is wrong; ``python tests/fuzz.py`` tries more."""
import pytest

pytest.importorskip('fastapi')
pytest.importorskip('httpx')

from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzing import endings


@pytest.mark.parametrize('kind', [kind for kind in SURFACES if kind.startswith('requests')])
def test_damage_ends_clearly(tmp_path, kind):
    attempt = SURFACES[kind](tmp_path)
    attempt(None)
    assert endings(attempt, range(24)).unclear == {}
