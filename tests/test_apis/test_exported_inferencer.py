"""An exported model answers as the inferencer does."""
import json
import shutil

import numpy as np
import pytest
import torch

for package in ('onnx', 'onnxscript', 'onnxruntime'):
    pytest.importorskip(package)

from mmrefseg.apis import RefSegInferencer  # noqa: E402
from mmrefseg.apis.export import export_model  # noqa: E402
from mmrefseg.apis.inference.answerer import brings_weights, identity_of, load_answerer  # noqa: E402
from mmrefseg.errors import InputError  # noqa: E402

CONFIG = 'sera_tiny_refshapes'
IMAGES = [np.random.default_rng(i).integers(0, 255, (40 + i, 60, 3), dtype=np.uint8) for i in range(2)]


@pytest.fixture(scope='module')
def ask() -> RefSegInferencer:
    torch.manual_seed(0)
    return RefSegInferencer(CONFIG, None, 'cpu')


@pytest.fixture(scope='module')
def folder(ask, tmp_path_factory) -> str:
    parent = tmp_path_factory.mktemp('exported')
    torch.save(ask.model.state_dict(), parent / 'w.pth')
    export_model(ask, str(parent / 'model'), CONFIG, str(parent / 'w.pth'), 'onnx', False, 'float32')
    return str(parent / 'model')


def test_answers(ask, folder):
    other = load_answerer(folder, device='cpu')
    pairs = list(zip(IMAGES, (['a', 'b'], ['the cup']), strict=True))
    for threshold in (None, 0.5):
        expected, found = (list(one.stream(pairs, threshold=threshold, progress=False, batch_size=2))
                           for one in (ask, other))
        for result, like in zip(found, expected, strict=True):
            assert (result.expression, result.size, result.threshold) == (like.expression, like.size, like.threshold)
            assert (result.mask != like.mask).mean() < 2e-3 and result.score == pytest.approx(like.score, abs=1e-3)
    assert torch.allclose(other.image(IMAGES[0])('a').logits, ask.image(IMAGES[0])('a').logits, atol=1e-3)


def test_it_is_known_by_its_files(folder, tmp_path):
    assert brings_weights(folder) and not brings_weights(CONFIG) and not brings_weights(str(tmp_path))
    identity = identity_of(folder)
    copied = shutil.copytree(folder, tmp_path / 'copied')
    assert identity_of(str(copied))['weights'] == identity['weights']
    info = json.loads((copied / 'refseg.json').read_text())
    (copied / 'refseg.json').write_text(json.dumps({**info, 'threshold': 0.9}))
    assert identity_of(str(copied))['weights'] != identity['weights']
    (copied / 'refseg_onnx.py').write_text('raise SystemExit("it ran")')
    with pytest.raises(InputError, match='SHA-256'):
        (copied / 'model.onnx').write_bytes(b'')
        load_answerer(str(copied), device='cpu')
    with pytest.raises(InputError, match="not on 'mps'"):
        load_answerer(folder, device='mps')
