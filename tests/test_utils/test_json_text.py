import json
from types import SimpleNamespace

import pytest
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco
from helpers.instance_files import tiny_coco, write_coco
from helpers.phrasecut_files import tiny_phrasecut, write_phrasecut
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrefseg.datasets import (
    CocoPromptDataset,
    GRefCOCODataset,
    JSONLinesDataset,
    PhraseCutDataset,
    RefCOCODataset,
    ReferringLMDBDataset,
)
from mmrefseg.datasets.importing import import_annotations
from mmrefseg.datasets.preparation import prepare, verify
from mmrefseg.errors import InputError
from mmrefseg.evaluation.predictions import read_predictions
from mmrefseg.utils.json_text import decode_json, json_decoder
from mmrefseg.visualization.training_curves import _read_run

TWICE = 'an object has the key .* twice: nobody can tell which value is meant'
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                      lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@settings(max_examples=50)
@given(values)
def test_as_json_does(value):
    assert decode_json(json.dumps(value)) == value
    assert json_decoder(lambda element: [*element]).decode(json.dumps(value)) == json.loads(
        json.dumps(value), object_hook=lambda element: [*element])


@pytest.mark.parametrize('text', ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "\\u0061": 3}}]'])
@pytest.mark.parametrize('hook', [None, lambda element: None])
def test_a_key_twice(text, hook):
    with pytest.raises(InputError, match=TWICE.replace('.*', "'a'")):
        json_decoder(hook).decode(text)


def test_constants():
    assert decode_json('Infinity') == float('inf')
    with pytest.raises(InputError, match='NaN is no number in JSON'):
        json_decoder(take_constants=False).decode('[NaN]')


def _repeat(path, key):
    """Give the first object with a key the same key again, with another value."""
    text = path.read_text()
    assert f'"{key}":' in text
    path.write_text(text.replace(f'"{key}":', f'"{key}": 5, "{key}":', 1))


def _read(kind, *args, **kwargs):
    dataset = kind(*args, **kwargs)
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def _lines(root):
    write_refcoco(root, tiny_refcoco())
    (root / 'annotations').mkdir()
    (root / 'annotations/train.jsonl').write_text(json.dumps({'image': 'one.jpg', 'expression': 'a', 'mask': None}))
    return root


def _coco(root):
    return write_coco(root, tiny_coco(), 'train2017')


def _prepared(root):
    prepare('jsonl', [_lines(root / 'src')], root / 'out')
    return root


READERS = {
    'instances': (lambda root: write_refcoco(root, tiny_refcoco()), 'instances.json', 'file_name',
                  lambda root: _read(RefCOCODataset, str(root))),
    'grefs': (lambda root: write_grefcoco(root, tiny_grefcoco()), 'grefs(unc).json', 'ann_id',
              lambda root: _read(GRefCOCODataset, str(root))),
    'phrases': (lambda root: write_phrasecut(root, tiny_phrasecut()), 'refer_train.json', 'phrase',
                lambda root: _read(PhraseCutDataset, str(root))),
    'images': (lambda root: write_phrasecut(root, tiny_phrasecut()), 'image_data_split.json', 'width',
               lambda root: _read(PhraseCutDataset, str(root))),
    'lines': (_lines, 'annotations/train.jsonl', 'mask', lambda root: _read(JSONLinesDataset, str(root))),
    'prepared lines': (_prepared, 'out/annotations/train.index.json', 'images',
                       lambda root: _read(JSONLinesDataset, str(root / 'out'))),
    'manifest': (_prepared, 'out/prepared.json', 'name', lambda root: verify(root / 'out')),
    'import of coco': (_coco, 'annotations/instances_train2017.json', 'file_name',
                       lambda root: import_annotations('coco', root / 'annotations', root / 'out', images=root)),
    'coco': (_coco, 'annotations/instances_train2017.json', 'file_name',
             lambda root: _read(CocoPromptDataset, str(root), split='train')),
}


@pytest.mark.parametrize('name', READERS)
def test_in_every_reader(tmp_path, name):
    write, file, key, read = READERS[name]
    root = write(tmp_path / 'data')
    _repeat(root / file, key)
    with pytest.raises(InputError, match=TWICE):
        read(root)


@pytest.mark.parametrize(('name', 'content'), [
    ('a.json', '[{"sent_id": 1, "segmentation": null, "sent_id": 2}]'),
    ('a.jsonl', '{"sent_id": 1, "segmentation": null, "sent_id": 2}'),
    ('a.json', '{"val": [], "val": []}')])
def test_in_predictions(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=TWICE):
        read_predictions(tmp_path / name)


def test_in_logs(tmp_path):
    (tmp_path / 'scalars.json').write_text('{"step": 1, "loss": 2, "loss": 3}')
    with pytest.raises(InputError, match="has the key 'loss' twice"):
        _read_run(tmp_path / 'scalars.json')


def test_in_the_header_of_an_lmdb_file(tmp_path, monkeypatch):
    _lines(tmp_path / 'src')
    monkeypatch.setattr('mmrefseg.utils.lmdb_file.json', SimpleNamespace(
        dumps=lambda header: json.dumps(header).replace('{', '{"format": "a", ', 1)))
    prepare('jsonl', [tmp_path / 'src'], tmp_path / 'out', lmdb=True)
    with pytest.raises(InputError, match=TWICE):
        ReferringLMDBDataset(str(tmp_path / 'out'))[0]
