"""The command that exports a model."""
import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/export.py'


@pytest.mark.parametrize(('options', 'message'), [
    (['--format', 'pt2', '--int8'], 'go with --format onnx'),
    (['--format', 'pt2', '--check'], 'go with --format onnx'),
    ([], 'weights.pth'),
])
def test_refuses_before_it_begins(options, message, monkeypatch, tmp_path):
    weights = tmp_path / 'weights.pth'
    monkeypatch.setattr(sys, 'argv', ['export.py', 'sera_tiny_refshapes', str(weights),
                                      str(tmp_path / 'out'), *options])
    with pytest.raises(SystemExit, match=message):
        runpy.run_path(str(TOOL), run_name='__main__')
    assert not (tmp_path / 'out').exists()
