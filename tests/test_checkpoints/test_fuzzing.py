"""Damaged checkpoints end in clear errors; ``python tests/test_checkpoints/test_fuzzing.py 10000`` tries more."""
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.fuzzing import mutate, unclear_ends
from mmengine.logging import HistoryBuffer
from torch import nn

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.checkpoints.weights import load_weights
from mmrefseg.errors import InputError

FORMATS = ('zip', 'legacy', 'safetensors')


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def whole_file(kind):
    state = model().state_dict()
    if kind == 'safetensors':
        return safetensors.torch.save(state)
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    content = io.BytesIO()
    torch.save(dict(meta=dict(epoch=1, iter=2, dataset_meta=dict(palette=np.ones(3, np.uint8))), state_dict=state,
                    message_hub=dict(log_scalars=dict(loss=history), runtime_info={}, resumed_keys=dict(loss=True))),
               content, _use_new_zipfile_serialization=kind == 'zip')
    return content.getvalue()


def reader(folder, kind):
    path = Path(folder, 'a.safetensors' if kind == 'safetensors' else 'a.pth')

    def read(content):
        path.write_bytes(content)
        checkpoint = load_from_local(str(path))
        load_weights(model(), checkpoint.get('state_dict', checkpoint), str(path))
        return checkpoint

    return read


@pytest.mark.parametrize('kind', FORMATS)
def test_damage_ends_clearly(tmp_path, kind):
    content, read = whole_file(kind), reader(tmp_path, kind)
    read(content)
    assert unclear_ends(read, content, range(150)) == {}


def test_damaged_numbers_are_noticed(tmp_path):
    content, read = whole_file('zip'), reader(tmp_path, 'zip')
    weight = read(content)['state_dict']['0.weight'].numpy().tobytes()
    start = content.index(weight)
    for place in range(start, start + len(weight), 5):
        damaged = bytearray(content)
        damaged[place] ^= 1
        with pytest.raises(InputError, match='is damaged, as its checksums show: Bad CRC-32 .*older checkpoint'):
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


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as scratch:
        for fuzzed in FORMATS:
            print(fuzzed, unclear_ends(reader(scratch, fuzzed), whole_file(fuzzed), range(int(sys.argv[1]))))
