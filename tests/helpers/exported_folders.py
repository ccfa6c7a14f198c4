"""Folders as ``mmrefseg export`` writes them, around a network that always gives the same."""
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
INPUTS = (('image', TensorProto.FLOAT, ['i', 3, 32, 32]), ('token_ids', TensorProto.INT64, ['q', 4]),
          ('token_mask', TensorProto.BOOL, ['q', 4]), ('image_index', TensorProto.INT64, ['q']))


def network(logits: TensorProto, inputs: tuple = INPUTS) -> bytes:
    """One that gives the same logits, whatever it is asked."""
    node = helper.make_node('Identity', [logits.name], ['logits'])
    graph = helper.make_graph([node], 'network', [helper.make_tensor_value_info(*one) for one in inputs],
                              [helper.make_tensor_value_info('logits', logits.data_type, list(logits.dims))], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
    model.ir_version = 9
    return model.SerializeToString()


def maps(*shape: int, value: float = 9) -> TensorProto:
    return numpy_helper.from_array(np.full(shape, value, np.float32), 'c')


def folder_of(folder: Path, logits: TensorProto | None = None, edit: Callable[[dict], object] = lambda notes: None,
              edit_words: Callable[[dict], object] = lambda words: None, inputs: tuple = INPUTS) -> Path:
    """A folder as it is exported, changed, with SHA-256 that fit, as somebody evil would make them."""
    folder.mkdir(exist_ok=True)
    words = dict(merges=['a b</w>'], special=['<s>', '<e>'], endings=["'s"], letters='a-z', numbers='0-9', others='!-/',
                 replace={}, entities={}, remove='')
    edit_words(words)
    (folder / 'model.onnx').write_bytes(network(maps(1, 8, 8) if logits is None else logits, inputs))
    (folder / 'tokenizer.json').write_text(json.dumps(words))
    notes = dict(format=1, kind='onnx', graph='whole', size=32, mean=[1, 2, 3], std=[1, 1, 1], border=[1, 2, 3],
                 threshold=0.5, num_tokens=4, onnxruntime='1',
                 files={name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
                        for name in ('model.onnx', 'tokenizer.json')})
    edit(notes)
    (folder / 'refseg.json').write_text(json.dumps(notes))
    return folder
