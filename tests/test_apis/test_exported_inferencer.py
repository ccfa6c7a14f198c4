"""An exported model behind the inferencer's interface; a stand-in for its runtime, as onnxruntime may be missing."""
import sys
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from mmrefseg.apis.inference import exported
from mmrefseg.apis.inference.model_loading import brings_weights, identity_of, load_inferencer
from mmrefseg.errors import InputError, MissingPackageError

IMAGES = [np.full((40, 80, 3), value, np.uint8) for value in (10, 200)]
MATRIX = np.array([[0.1, 0, 0], [0, 0.1, 2]])  # of 40 x 80 into the middle of 8 x 8


class RefSegError(ValueError):
    """What the runtime raises."""


class Prepared(NamedTuple):
    """An image as the runtime prepares it."""

    value: int
    size: tuple[int, int]
    matrix: np.ndarray


class Model:
    """Finds the left half where the expression says so, else the right one; more surely in brighter images."""

    def __init__(self, folder, providers) -> None:
        if 'damaged' in str(folder):
            raise RefSegError('its SHA-256 is another')
        self.providers = providers

    def prepare(self, image: np.ndarray) -> Prepared:
        return Prepared(int(image[0, 0, 0]), image.shape[:2], MATRIX)

    def encode(self, prepared: list[Prepared]) -> list[np.ndarray]:
        return [np.array([image.value for image in prepared])]

    def ask(self, shared, prepared, questions, threshold):
        sides = [np.arange(8) < 4 if 'left' in text else np.arange(8) >= 4 for _, text in questions]
        return [SimpleNamespace(
            size=prepared[i].size, threshold=0.35 if threshold is None else threshold, side=8,
            matrix=prepared[i].matrix, logits=np.where(inside, shared[0][i] / 50, -9) * np.ones((8, 1)))
            for (i, _), inside in zip(questions, sides, strict=True)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmrefseg.apis.export.refseg_onnx',
                        SimpleNamespace(Model=Model, RefSegError=RefSegError))
    monkeypatch.setattr(exported, 'need_extra', lambda *_: None)
    (tmp_path / 'refseg.json').write_text('{}')
    return tmp_path


def test_answers_are_the_inferencers_kind(folder):
    ask = load_inferencer(folder, device='cpu')
    assert ask._exported.providers == ['CPUExecutionProvider']
    pairs = list(zip(IMAGES, (['left', 'right'], ['the left']), strict=True))
    results = list(ask.stream(pairs, batch_size=2, progress=False))
    assert [result.expression for result in results] == ['left', 'right', 'the left']
    assert [result.size for result in results] == [(40, 80)] * 3
    assert [result.mask[20, [10, 70]].tolist() for result in results] == [[True, False], [False, True], [True, False]]
    assert results[0].score < results[2].score and results[0].box[0] == 0 and results[1].box[2] > 70
    assert [result.threshold for result in ask(IMAGES[0], ['left', 'right'], threshold=0.5)] == [0.5, 0.5]
    assert ask.image(IMAGES[1])('left').mask.sum() == results[2].mask.sum()


def test_it_is_known_by_its_file(folder):
    assert brings_weights(folder) and not brings_weights('sera_tiny_refshapes')
    before = identity_of(folder)
    (folder / 'refseg.json').write_text('{"files": {}}')
    assert identity_of(folder)['weights'] != before['weights'] and identity_of(folder)['model'] == before['model']


def test_mistakes(folder):
    with pytest.raises(InputError, match="not on 'mps'"):
        load_inferencer(folder, device='mps')
    (folder / 'damaged').mkdir()
    (folder / 'damaged/refseg.json').write_text('{}')
    with pytest.raises(InputError, match='SHA-256'):
        load_inferencer(folder / 'damaged', device='cpu')


def test_without_onnxruntime(tmp_path, monkeypatch):
    (tmp_path / 'refseg.json').write_text('{}')
    monkeypatch.setattr('mmrefseg.utils.optional_packages.find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match=r'onnxruntime is not installed: pip install "mmrefseg\[onnx\]"'):
        load_inferencer(tmp_path)
