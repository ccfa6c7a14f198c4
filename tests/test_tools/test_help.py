"""Every script explains itself, and does nothing else then."""
import runpy
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'
# Those in tools/install are parts of tools/install.sh but for the matrix of versions.
SCRIPTS = sorted(path.relative_to(TOOLS).as_posix() for path in TOOLS.rglob('*.py')
                 if "__name__ == '__main__'" in path.read_text()
                 and (path.parent.name != 'install' or path.name == 'version_matrix.py'))


@pytest.mark.parametrize('script', SCRIPTS)
def test_help_only_prints(script, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [script, '--help'])
    monkeypatch.syspath_prepend((TOOLS / script).parent)
    with pytest.raises(SystemExit) as ending:
        runpy.run_path(str(TOOLS / script), run_name='__main__')
    printed = capsys.readouterr()
    assert ending.value.code == 0 and printed.out.startswith('usage: ') and not printed.err
    assert not list(tmp_path.iterdir())
