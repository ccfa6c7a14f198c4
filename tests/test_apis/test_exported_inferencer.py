"""An exported model behind the inferencer's interface: as itself, behind the server, and asked about many images."""
import json
import runpy
import shutil
import sys
from functools import partial

import cv2
import numpy as np
import pytest
from helpers.app_server_thread import running

from mmrefseg.apis.inference.model_loading import brings_weights, identity_of, load_inferencer
from mmrefseg.deploy.server.app import create_app
from mmrefseg.deploy.server.limits import Limits
from mmrefseg.deploy.server.prometheus_metrics import ServerMetrics
from mmrefseg.deploy.server.worker_pool import WorkerPool
from mmrefseg.errors import InputError, MissingPackageError, UserError
from mmrefseg.structures.mask_formats import rle_to_mask
from mmrefseg.utils.shipped_files import shipped_folder

httpx = pytest.importorskip('httpx')

TEXTS = ['the red car', 'a dog']


@pytest.fixture(scope='module')
def ask(exported):
    return load_inferencer(exported, device='cpu')


@pytest.fixture
def picture(image, tmp_path):
    cv2.imwrite(str(tmp_path / 'picture.png'), image[..., ::-1])
    return tmp_path / 'picture.png'


def copied(folder, target, **notes):
    """With other notes about it."""
    shutil.copytree(folder, target)
    info = json.loads((target / 'refseg.json').read_text())
    (target / 'refseg.json').write_text(json.dumps(dict(info, **notes)))
    return target


def test_answers_are_the_originals(sera, ask, image):
    pairs = [(image, TEXTS), (image[:70], ['a dog'])]
    results = list(ask.stream(pairs, batch_size=2, progress=False))
    assert [(result.expression, result.size) for result in results] == [
        ('the red car', (100, 160)), ('a dog', (100, 160)), ('a dog', (70, 160))]
    for result, expected in zip(results, sera.stream(pairs, batch_size=2, progress=False), strict=True):
        assert (result.logits - expected.logits).abs().max() <= 1e-4 * expected.logits.abs().max()
        assert (result.mask != expected.mask).sum() <= 0.001 * expected.mask.sum()
        assert result.threshold == expected.threshold and result.score == pytest.approx(expected.score, abs=1e-4)
    again = ask.image(image)('a dog', threshold=0.9)
    assert again.threshold == 0.9 and np.allclose(again.probability, results[1].probability, atol=1e-4)


def test_a_server_answers_with_it(sera, exported, picture):
    load = partial(load_inferencer, exported, None, 'cpu')
    with WorkerPool(load, ServerMetrics(), start_method='fork') as pool, running(
            create_app(pool, Limits(), ServerMetrics())) as address:
        response = httpx.post(f'{address}/v1/segment', timeout=60, files=dict(image=picture.read_bytes()), data=dict(
            expressions=TEXTS, include=['rle', 'routing']))
    assert response.status_code == 200, response.text
    for answer, expected in zip(response.json()['answers'], sera(picture, TEXTS), strict=True):
        assert (rle_to_mask(answer['rle'], *expected.size) != expected.mask).sum() <= 0.001 * expected.mask.sum()
        assert answer['score'] == pytest.approx(expected.score, abs=1e-4) and answer['routing'] == {}


def test_predict_answers_with_it(sera, exported, picture, monkeypatch, tmp_path, capsys):
    command = ['predict.py', exported, picture, '--expressions', *TEXTS, '--out', tmp_path / 'out', '--device', 'cpu']
    monkeypatch.setattr(sys, 'argv', list(map(str, command)))
    runpy.run_path(str(shipped_folder('tools') / 'predict.py'), run_name='__main__')
    assert '2 answers about 1 images' in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / 'out/predictions.jsonl').read_text().splitlines()]
    for line, expected in zip(lines, sera(picture, TEXTS), strict=True):
        assert (rle_to_mask(line['segmentation'], *expected.size) != expected.mask).sum() <= 0.001 * expected.mask.sum()


def test_it_is_known_by_its_file(exported, tmp_path):
    assert brings_weights(exported) and not brings_weights('sera_tiny_refshapes')
    other = copied(exported, tmp_path / 'other', threshold=0.5)
    assert identity_of(other)['weights'] != identity_of(exported)['weights']
    assert identity_of(other)['model'] == str(other)


def test_mistakes(exported, tmp_path):
    with pytest.raises(InputError, match="not on 'mps'"):
        load_inferencer(exported, device='mps')
    damaged = copied(exported, tmp_path / 'damaged')
    with (damaged / 'text_and_mask.onnx').open('ab') as file:
        file.write(b'1')
    with pytest.raises(InputError, match='SHA-256'):
        load_inferencer(damaged, device='cpu')
    later = copied(exported, tmp_path / 'later', format=9)
    with pytest.raises(UserError, match='format 9'), WorkerPool(
            partial(load_inferencer, later, None, 'cpu'), ServerMetrics(), start_method='fork'):
        pass


def test_without_onnxruntime(exported, monkeypatch):
    monkeypatch.setattr('mmrefseg.utils.optional_packages.find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match=r'onnxruntime is not installed: pip install "mmrefseg\[onnx\]"'):
        load_inferencer(exported)
