"""The combinations of versions that are tried."""
from pathlib import Path


def test_what_it_runs_is_there(helper):
    """Its commands run in environments of their own, which no other test makes."""
    commands = helper('version_matrix').SMOKE
    named = [Path(part) for command in commands for part in command if part.endswith('.py')]
    assert len(named) >= len(commands) and [path for path in named if not path.is_file()] == []


def test_rows(helper):
    """From the oldest version that is supported to the newest."""
    matrix = helper('version_matrix')
    rows = matrix.VERSION_ROWS
    assert [row.torch.rpartition('.')[0] for row in (rows[0], rows[-1])] == list(matrix.SUPPORTED.TORCH)
    assert [row.python for row in rows] == sorted(row.python for row in rows)
