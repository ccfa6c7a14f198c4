import copyreg
import gc
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from mmrefseg.datasets import refer_pickle
from mmrefseg.datasets.refer_pickle import load_refer_pickle
from mmrefseg.errors import InputError


def _load(tmp_path, content: bytes):
    path = tmp_path / 'refs(unc).p'
    path.write_bytes(content)
    return load_refer_pickle(path)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_data_of_every_protocol(tmp_path, protocol):
    data = [{'ref_id': 7, 'sent_ids': [1, 2**40], 'sentences': [{'sent': 'größer 🐕', 'x': [1.5, None, True]}]}]
    assert _load(tmp_path, pickle.dumps(data, protocol)) == data


def test_python2_protocol_0(tmp_path):
    """As Python 2 wrote {'sent': 'caf\\xc3\\xa9', 'raw': u'caf\\xe9', 'ref_id': 3, 'ann_id': 2**33 (a long)}."""
    written = (b"(lp0\n(dp1\nS'sent'\np2\nS'caf\\xc3\\xa9'\np3\nsS'raw'\np4\nVcaf\\u00e9\np5\nsS'ref_id'\np6\nI3\n"
               b"sS'ann_id'\np7\nL8589934592L\nsa.")
    assert _load(tmp_path, written) == [{'sent': 'café', 'raw': 'café', 'ref_id': 3, 'ann_id': 2**33}]


def test_python2_protocol_1(tmp_path):
    """Binary strings, short and long."""
    written = b']q\x00}q\x01(U\x04sentq\x02U\x05caf\xc3\xa9q\x03U\x03rawq\x04T\x03\x00\x00\x00catq\x05U\x01nK\x04ua.'
    assert _load(tmp_path, written) == [{'sent': 'café', 'raw': 'cat', 'n': 4}]


def test_python2_protocol_2(tmp_path):
    written = (b'\x80\x02]q\x00}q\x01(U\x04sentq\x02X\x05\x00\x00\x00caf\xc3\xa9q\x03U\x01nq\x04'
               b'\x8a\x05\x00\x00\x00\x00\x02ua.')
    assert _load(tmp_path, written) == [{'sent': 'café', 'n': 2**33}]


@pytest.mark.parametrize('protocol', [1, 2, 4])
def test_text_of_any_length(tmp_path, protocol):
    texts = [chr(33 + length % 90) * length for length in range(300)]
    assert _load(tmp_path, pickle.dumps(texts, protocol)) == texts


def test_python2_bytes_of_any_length(tmp_path):
    texts = [b'}' * length for length in range(256)]
    content = b''.join(b'U' + bytes([len(text)]) + text for text in texts)
    assert _load(tmp_path, b'\x80\x02](' + content + b'e.') == [text.decode() for text in texts]


def test_python2_bytes_that_are_not_utf8_are_latin1(tmp_path):
    assert _load(tmp_path, b"(lp0\nS'caf\\xe9'\np1\na.") == ['café']


_MARKER = "'touch marker'"
_ATTACKS = {
    'GLOBAL, REDUCE': f"cos\nsystem\n(S{_MARKER}\ntR.".encode(),
    'INST': f"(S{_MARKER}\nios\nsystem\n.".encode(),
    'OBJ': f"(cos\nsystem\nS{_MARKER}\no.".encode(),
    'STACK_GLOBAL, REDUCE': b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch marker\x85R.',
    'NEWOBJ': b'\x80\x02cos\nsystem\nU\x0ctouch marker\x85\x81.',
    'NEWOBJ_EX': b'\x80\x04cos\nsystem\nU\x0ctouch marker\x85}\x92.',
    'BUILD': b"cos\nsystem\n}S'x'\nS'y'\nsb.",
    'without a call': b'cos\nsystem\n.',
    'inside a list of dictionaries': f"(lp0\n(dp1\nS'sent'\np2\ncos\nsystem\np3\n(S{_MARKER}\ntRsa.".encode(),
    'as a key': f"(dcos\nsystem\n(S{_MARKER}\ntRI1\ns.".encode(),
}


@pytest.mark.parametrize('attack', _ATTACKS.values(), ids=_ATTACKS.keys())
def test_nothing_is_imported(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r'(?s)refs\(unc\)\.p.*os\.system.*malicious.*github\.com/lichengunc/refer'):
        _load(tmp_path, attack)
    assert not (tmp_path / 'marker').exists()


@pytest.mark.parametrize('value', [print, ValueError('x'), {1}, pickle.Pickler, range(3)])
def test_innocent_objects_of_other_classes_are_refused_too(tmp_path, value):
    with pytest.raises(ValueError, match=r'asks for .*malicious'):
        _load(tmp_path, pickle.dumps(value, protocol=2))


@pytest.mark.parametrize('opcode', [b'\x82\xf0', b'\x83\xf0\x00', b'\x84\xf0\x00\x00\x00'])
def test_extensions_are_refused_even_when_registered_and_cached(tmp_path, monkeypatch, opcode):
    monkeypatch.chdir(tmp_path)
    copyreg.add_extension('os', 'system', 0xF0)
    try:
        assert pickle.loads(opcode + b'.').__name__ == 'system'  # noqa: S301 - to fill the cache
        for use in (b'.', b'U\x0ctouch marker\x85R.'):
            with pytest.raises(ValueError, match='is not a whole pickle of lists'):
                _load(tmp_path, b'\x80\x02' + opcode + use)
    finally:
        copyreg.remove_extension('os', 'system', 0xF0)
        copyreg.clear_extension_cache()
    assert not (tmp_path / 'marker').exists()


@pytest.mark.parametrize('content', [b'P1\n.', b'I1\nQ.'])
def test_persistent_objects_are_refused(tmp_path, content):
    with pytest.raises(ValueError, match='is not a whole pickle of lists'):
        _load(tmp_path, content)


@pytest.mark.parametrize('opcode', [b'r\xff\xff\xff\xff', b'p4294967295\n', b'j\xff\xff\xff\xff'])
def test_a_high_memo_place_is_refused(tmp_path, opcode):
    with pytest.raises(ValueError, match='is not a whole pickle of lists'):
        _load(tmp_path, b'\x80\x02]' + opcode + b'.')


def test_keys_that_take_forever_to_hash_are_refused(tmp_path):
    """Sixty times a pair of what went before: 2**60 steps for a hash."""
    with pytest.raises(ValueError, match='is not a whole pickle of lists'):
        _load(tmp_path, b'\x80\x02})' + b'2\x86' * 60 + b'K\x01s.')


def test_deep_nesting_is_read(tmp_path):
    depth = 100_000
    nested = _load(tmp_path, b']' * depth + b'a' * (depth - 1) + b'.')
    for _ in range(depth - 1):
        nested = nested[0]
    assert nested == []


@pytest.mark.parametrize('content', [
    b'', b'<html>not found</html>', b'version https://git-lfs.github.com/spec/v1\n', b'\x80\x02', b'.', b'a.', b'(.',
    b'\x80\x63.', b'T\xff\xff\xff\x7fab.', b'\x8d' + struct.pack('<Q', 2**62) + b'ab.', b'h\x09.', b'J\x01.',
    b"S'a'\n(tR.", b']I3\nb.', b'\x80\x05\x97.', b'I' + b'9' * 10_000 + b'\n.',
    b'\x80\x05\x96' + struct.pack('<Q', 2**34) + b'.', pickle.dumps({1}, protocol=4), pickle.dumps((1, 2)),
    pickle.dumps([{'ref_id': 1, 'sentences': ['x' * 100]}])[:-20]
])
def test_what_is_no_whole_pickle(tmp_path, content):
    with pytest.raises(ValueError, match=r'refs\(unc\)\.p is not a whole pickle'):
        _load(tmp_path, content)


@pytest.mark.parametrize('value, message', [
    (np.int64(5), r'NumPy.*int\(\.\.\.\)'),
    (np.zeros(3), r'NumPy.*\.tolist\(\)'),
    ((1, 2), r'after \d+ bytes it holds a tuple: write it as a list'),
    ((), 'it holds a tuple'),
    (b'cat', r"it holds bytes: write them as text, \.decode\('utf-8'\)"),
    ({1}, 'it holds a set: write it as a list'),
    (2**63, 'it holds a whole number of more than 64 bits'),
])
def test_what_users_write_by_mistake_is_called_by_its_name(tmp_path, value, message):
    with pytest.raises(InputError, match=message) as caught:
        _load(tmp_path, pickle.dumps([{'ref_id': value, 'sent_ids': [1, 2]}], protocol=4))
    assert 'web page' not in str(caught.value) and 'malicious' not in str(caught.value)


@pytest.mark.parametrize('protocol', [0, 1, 2, 4])
def test_keys_of_one_hash_are_refused(tmp_path, protocol):
    """A dictionary of them takes time that grows with the square of their number."""
    keys = [place * (2**61 - 1) for place in range(100)]
    assert len(set(map(hash, keys))) == 1
    with pytest.raises(InputError, match='more than 64 bits|not a whole pickle|a key of type int'):
        _load(tmp_path, pickle.dumps([dict.fromkeys(keys)], protocol))
    assert _load(tmp_path, pickle.dumps([-2**63, 2**63 - 1], 2)) == [-2**63, 2**63 - 1]


def meeting_keys(number, bits):
    """Whole numbers of 40 bits that meet in the same places of a dictionary of ``2**bits`` places, from the tenth on.

    CPython looks at ``place = 5 * place + 1 + (key >> 5 * step)`` in step after step; the sum of what the lower and the
    higher 20 bits of a key contribute to the place is the same here for all keys.
    """
    def contribution(part):
        return sum(5**(9 - step) * (part >> 5 * step) for step in range(10)) % 2**bits

    lower = np.arange(2**20, dtype=np.int64)
    low, high = contribution(lower), contribution(lower[:4096] << 20)
    places = np.argsort(low, kind='stable')
    keys = []
    for index, offset in enumerate(high):
        begin, end = np.searchsorted(low[places], [-offset % 2**bits, -offset % 2**bits + 1])
        keys += (places[begin:end] + (index << 20)).tolist()
        if len(keys) > number:
            return keys[:number]
    raise AssertionError('too few')


def test_meeting_keys():
    """They do."""
    def last(key, place=0):
        place, perturb = key, key
        for _ in range(9):
            perturb >>= 5
            place = 5 * place + perturb + 1
        return place % 2**12

    assert len({last(key) for key in meeting_keys(1000, 12)}) == 1


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize(('keys', 'message'), [
    (meeting_keys(100, 12), 'a key of type int'), ([1], 'of type int'), ([0.5], 'of type float'),
    ([None], 'of type NoneType'), ([True], 'of type bool')])
def test_keys_that_are_no_text(tmp_path, keys, message, protocol):
    with pytest.raises(InputError, match=f'was not loaded: a dictionary in it has {message}|.*, but keys must be str'):
        _load(tmp_path, pickle.dumps([{'a': dict.fromkeys(keys)}], protocol))


@pytest.mark.parametrize('content', [b'\x80\x02}(U\x01aK\x01U\x01aK\x02u.', b"(dS'a'\nI1\nsS'a'\nI1\ns."])
def test_the_same_key_twice(tmp_path, content):
    with pytest.raises(InputError, match="a dictionary in it has a key 'a' twice, but keys must be strings, each once"):
        _load(tmp_path, content)


@pytest.mark.parametrize('content', [b"(S'a'\nI1\nd.", b'(I1\nI2\nd.'])
def test_a_dictionary_of_what_stands_before_it(tmp_path, content):
    """As no pickler writes it."""
    with pytest.raises(InputError, match='not a whole pickle'):
        _load(tmp_path, content)


def test_dictionaries_within_names_stay(tmp_path):
    data = [{'(d}': ['}', {'d': 'N}Q(d', '\x95': [{}, {'': {}}]}]}] * 2
    for protocol in range(6):
        assert _load(tmp_path, pickle.dumps(data, protocol)) == data


def test_a_large_file_is_refused_unread(tmp_path):
    path = tmp_path / 'refs(unc).p'
    with path.open('wb') as file:
        file.write(b'\x80\x02X\x00\x00\x00\x40')
        file.truncate(2**30 + 8)  # a string of 1 GB
    with pytest.raises(ValueError, match=r'refs\(unc\)\.p has 1073741832 bytes'):
        load_refer_pickle(path)


def test_garbage_collection_is_as_before(tmp_path):
    _load(tmp_path, pickle.dumps([1]))
    assert gc.isenabled()
    gc.disable()
    try:
        _load(tmp_path, pickle.dumps([1]))
        assert not gc.isenabled()
    finally:
        gc.enable()


_FUZZ = """
import contextlib, pickle, pickletools, random, resource, runpy, sys
from pathlib import Path

module, scratch, seed = sys.argv[1:]
load = runpy.run_path(module)['load_refer_pickle']
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
generator = random.Random(int(seed))
opcodes = [opcode.code.encode('latin-1')[0] for opcode in pickletools.opcodes]
data = [{'ref_id': 1, 'split': 'train', 'sentences': [{'sent': 'a cat', 'n': 2.5}, [1, 2**60, None, True]]}] * 2
python2 = b"(lp0\\n(dp1\\nS'sent'\\np2\\nVcaf\\\\u00e9\\np3\\nsS'n'\\np4\\nL8589934592L\\nsU\\x02abX\\x03\\0\\0\\0abcs."
wholes = [*(pickle.dumps(data, protocol) for protocol in range(6)), python2]
whole_ones = 0
for _ in range(2000):
    damaged = bytearray(generator.choice(wholes))
    for _ in range(generator.randint(0, 4)):
        place, kind = generator.randrange(len(damaged)), generator.randrange(5)
        if kind == 0:
            damaged[place] = generator.choice(opcodes)
        elif kind == 1:
            damaged[place] = generator.choice((0, 1, 0x7f, 0x80, 0xff, generator.randrange(256)))
        elif kind == 2:
            damaged[place:place] = bytes([generator.choice(opcodes)]) + generator.randbytes(generator.randrange(9))
        elif kind == 3:
            del damaged[place:place + generator.randint(1, 8)]
            damaged += b'.'
        else:
            other = generator.choice(wholes)
            damaged[place:place] = other[generator.randrange(len(other)):]
    Path(scratch).write_bytes(damaged)
    with contextlib.suppress(ValueError):
        load(scratch)
        whole_ones += 1
print(whole_ones)
"""


def test_random_damage_gives_data_or_a_value_error(tmp_path):
    """In a process of its own with little memory: neither a crash nor a claim of length may take the tests along."""
    command = [sys.executable, '-c', _FUZZ, refer_pickle.__file__, str(tmp_path / 'refs(unc).p'), '0']
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert 500 < int(result.stdout) < 1500
