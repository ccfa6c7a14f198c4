"""Files of data sets, damaged at random: whatever the damage, they are read, or refused by a message.

For a long run: ``python tests/fuzz.py --inputs 10000``.
"""
import pytest
from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzed_surfaces.annotations import READERS
from helpers.fuzzing import endings

DAMAGES = {'annotations: broken entries left out': 15, 'archives': 120, 'lmdb': 180, 'logs': 60, 'manifest': 60,
           'checksums of images': 60}
KINDS = [kind for kind in SURFACES if kind.startswith('annotations') or kind in DAMAGES]


@pytest.mark.parametrize('kind', KINDS)
def test_damage_ends_clearly(tmp_path, kind):
    attempt = SURFACES[kind](tmp_path)
    attempt(None)
    assert endings(attempt, range(DAMAGES.get(kind, 60))).unclear == {}


@pytest.mark.parametrize('reader', [name for name in READERS if name not in ('refs', 'voc labels', 'prepared lines')])
def test_a_byte_order_mark(tmp_path, reader):
    """As some editors write it before anything else."""
    write, name, kind = READERS[reader]
    root = write(tmp_path / 'data')
    expected = list(kind(str(root), split='train').referents())
    (root / name).write_bytes(b'\xef\xbb\xbf' + (root / name).read_bytes())
    assert list(kind(str(root), split='train').referents()) == expected
