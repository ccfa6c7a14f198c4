import sys
from importlib import import_module
from pathlib import Path

import pytest

import mmrefseg

HELPERS = Path(mmrefseg.__file__).parents[1] / 'tools/install'


@pytest.fixture
def helper(monkeypatch):
    """Imports a module of tools/install, whose modules import one another by their plain names."""
    monkeypatch.syspath_prepend(str(HELPERS))
    before = set(sys.modules)
    yield import_module
    for name in set(sys.modules) - before:
        if str(HELPERS) in str(getattr(sys.modules[name], '__file__', '')):
            del sys.modules[name]
