"""tools/dataset_converters/phrasecut.py."""
import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'phrasecut.py'


def test_prepares_phrasecut(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    monkeypatch.setattr(sys, 'argv', [str(TOOL), '--src', str(tmp_path), '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit, match=r'phrasecut: .*image_data_split\.json'):
        runpy.run_path(str(TOOL), run_name='__main__')
