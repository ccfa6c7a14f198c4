"""Writing a model into a folder that stands alone."""
from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mmrefseg
from mmrefseg.datasets.transforms.geometry import BORDER, Letterbox
from mmrefseg.errors import InputError
from mmrefseg.models.data_preprocessor import ReferringDataPreProcessor
from mmrefseg.utils.files import (
    check_writable,
    read_json_object,
    read_regular,
    refuse_foreign_files,
    sha256_of,
    write_atomically,
    write_json,
)

from ..inference import RefSegInferencer
from .onnx_files import require_onnx, write_onnx
from .refseg_onnx import FORMAT
from .traced_graphs import trace
from .vocabulary import vocabulary_of

PRECISIONS = ('float32', 'float16', 'int8')
LICENCE = ('mmrefseg and refseg_onnx.py: Apache-2.0. The weights: as whoever trained them says, and as the licences of '
           'the pretrained encoders and of the data that they were trained with allow. The vocabulary: of CLIP, MIT.')
_RUNTIME = Path(__file__).with_name('refseg_onnx.py')
_NOTES = 'refseg.json'
_WRITTEN = r'(model|image|text_and_mask)(_compiled)?\.(onnx|onnx\.data|pt2)'


def export_model(ask: RefSegInferencer,
                 out: str | Path,
                 config: str,
                 weights: str | Path | None,
                 kind: str = 'onnx',
                 split: bool = False,
                 precision: str = 'float32') -> Path:
    """Write a model into a folder that answers without PyTorch and OpenMMLab, or, as ``pt2``, with PyTorch alone.

    Args:
        ask: the model, on the CPU.
        out: the folder; files of an earlier export in there are replaced.
        config: name of the model's config.
        weights: the model's checkpoint, whose SHA-256 is noted; None for random weights.
        kind: ``'onnx'`` or ``'pt2'``. Default ``'onnx'``.
        split: whether images are encoded by a file of their own, so that an image is encoded once however often it is
            asked about. Default False.
        precision: of the weights in ONNX: ``'float32'``, ``'float16'`` or ``'int8'``. Default ``'float32'``.

    Returns:
        The folder.

    Raises:
        MissingPackageError: a package is missing.
        InputError: the model, its pipeline or its tokenizer cannot be exported; names what in it.
        FileError: the folder cannot be written, or holds files of the same names that are not of an export.
    """
    out = Path(out)
    if kind == 'onnx':
        require_onnx()
    check_writable(out)
    geometry, vocabulary = geometry_of(ask), vocabulary_of(ask.model.text_encoder)
    names = ['image', 'text_and_mask'] if split else ['model']
    earlier = _files_of_earlier(out)
    refuse_foreign_files(out, {'README.md', 'tokenizer.json', _RUNTIME.name, *(
        f'{name}.{ending}' for name in names for ending in (kind, f'{kind}.data'))} - earlier)
    graphs = trace(ask.model, geometry['size'], split, 'torchvision' if kind == 'onnx' else 'torch')
    _remove(out, earlier)
    if kind == 'onnx':
        files = [name for graph in graphs for name in write_onnx(graph, out, precision)]
        write_atomically(read_regular(_RUNTIME, 1 << 20), out / _RUNTIME.name)
    else:
        from .pt2_files import write_pt2

        files = [name for graph in graphs for name in write_pt2(graph, out)]
    write_json(vocabulary, out / 'tokenizer.json')
    files.append('tokenizer.json')
    info = dict(
        format=FORMAT, kind=kind, graph='split' if split else 'whole', precision=precision,
        config=Path(config).stem, method=Path(config).stem.partition('_')[0], **geometry,
        threshold=float(ask.model.test_cfg['threshold']), num_tokens=ask.model.text_encoder.num_tokens,
        weights_sha256=None if weights is None else sha256_of(weights),
        inputs={graph.name: list(graph.inputs) for graph in graphs},
        made_by=f'mmrefseg {mmrefseg.__version__}', python=platform.python_version(), torch=torch.__version__,
        **_versions(kind), licence=LICENCE, files={name: sha256_of(out / name) for name in files})
    write_atomically(_readme(info).encode(), out / 'README.md')
    write_json(info, out / _NOTES)  # the last: a folder without it is no exported model
    return out


def geometry_of(ask: RefSegInferencer) -> dict[str, Any]:
    """How images are prepared: ``size``, ``mean``, ``std`` and ``border``, as JSON takes them.

    Args:
        ask: the model and its pipeline.

    Raises:
        InputError: they are prepared in a way that the stand-alone code doesn't know.
    """
    moving = [step for step in ask.pipeline.transforms if getattr(step, 'touches', None) == 'image']
    if [type(step) for step in moving] != [Letterbox]:
        names = ', '.join(type(step).__name__ for step in moving) or 'nothing'
        raise InputError(f'the test pipeline prepares images by {names}; only Letterbox alone can be exported')
    preprocessor = ask.model.data_preprocessor
    if type(preprocessor) is not ReferringDataPreProcessor or preprocessor._channel_conversion:
        raise InputError(f'data_preprocessor is {type(preprocessor).__name__}, or it swaps channels; only '
                         'ReferringDataPreProcessor without bgr_to_rgb can be exported')
    mean, std = (0.0, ) * 3, (1.0, ) * 3
    if preprocessor._enable_normalize:
        mean, std = preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()
    return dict(size=moving[0].size, mean=list(mean), std=list(std), border=list(np.asarray(BORDER).tolist()))


def _files_of_earlier(folder: Path) -> set[str]:
    """Names of what an earlier export wrote, of those that an export can write; empty where there was none."""
    notes = folder / _NOTES
    if not notes.is_file():
        return set()
    try:
        files = set(read_json_object(notes, 'mmrefseg export')['files'])
    except (InputError, LookupError, TypeError):
        files = set()
    return {_NOTES, 'README.md', 'tokenizer.json', _RUNTIME.name} | {
        name for name in files if isinstance(name, str) and re.fullmatch(_WRITTEN, name)}


def _remove(folder: Path, names: set[str]) -> None:
    """Remove the files of an earlier export, which would lie about; the notes first, without which it is none."""
    for name in sorted(names, key=lambda name: name != _NOTES):
        path = folder / name
        if path.is_symlink() or path.is_file():  # a link that leads nowhere yet would be written through
            path.unlink()


def _versions(kind: str) -> dict[str, str]:
    if kind == 'pt2':
        return {}
    import onnxruntime

    return dict(onnxruntime=onnxruntime.__version__)


def _readme(info: dict[str, Any]) -> str:
    use = '''pip install numpy onnxruntime opencv-python-headless
python refseg_onnx.py photo.jpg "the red car" --masks masks

from refseg_onnx import answer
print(answer('photo.jpg', 'the red car')[0].box)'''
    if info['kind'] == 'pt2':
        use = '''import torch
ask = torch.export.load('model.pt2').module()
# image float32 (I, 3, S, S), token_ids int64 (B, L), token_mask bool (B, L), image_index int64 (B, )
logits = ask(image, token_ids, token_mask, image_index)
# refseg.json holds sizes, mean and threshold, tokenizer.json the vocabulary'''
    return (f'# {info["config"]}\n\nMade by {info["made_by"]}. `refseg.json` says from what, and how images are '
            f'prepared.\n\n```\n{use}\n```\n\n{info["licence"]}\n')
