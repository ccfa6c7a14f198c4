"""Damaged checkpoints end in clear errors; ``python tests/fuzz.py`` tries more."""
import pytest
from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzed_surfaces.checkpoints import FORMATS, reader, whole_file
from helpers.fuzzing import endings, mutate, unclear_ends

from mmrefseg.errors import InputError


@pytest.mark.parametrize('kind', FORMATS)
def test_damage_ends_clearly(tmp_path, kind):
    attempt = SURFACES[f'checkpoints: {kind}'](tmp_path)
    attempt(None)
    assert endings(attempt, range(150)).unclear == {}


def test_damaged_numbers_are_noticed(tmp_path):
    content, read = whole_file('zip'), reader(tmp_path, 'zip')
    weight = read(content)['state_dict']['0.weight'].numpy().tobytes()
    start = content.index(weight)
    for index in range(start, start + len(weight), 5):
        damaged = bytearray(content)
        damaged[index] ^= 1
        with pytest.raises(InputError, match='is damaged, as its archive shows: Bad CRC-32 .*older checkpoint'):
            read(bytes(damaged))


def test_mutations_differ_by_seed():
    content = bytes(range(256)) * 4
    assert len({mutate(content, seed) for seed in range(100)}) > 95
    assert mutate(content, 3) == mutate(content, 3) != content


def test_unclear_ends_are_found():
    def careless(content):
        return content.decode()

    found = unclear_ends(careless, b'abc' * 50, range(100))
    assert found and all(text.startswith('UnicodeDecodeError') for text in found.values())
