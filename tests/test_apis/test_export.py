"""Exported models answer as the ones that they were made of."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmrefseg.apis import RefSegInferencer
from mmrefseg.apis.export import check_export, export_model
from mmrefseg.apis.export.export_check import Agreement
from mmrefseg.apis.export.exporting import geometry_of
from mmrefseg.apis.export.onnx_files import _shrink, write_onnx
from mmrefseg.apis.export.pt2_files import has_compiler, write_pt2
from mmrefseg.apis.export.refseg_onnx import Model, RefSegError, _resample
from mmrefseg.apis.export.tokenizer_check_strings import tokenizer_check_strings
from mmrefseg.apis.export.traced_graphs import Graph, trace
from mmrefseg.apis.export.vocabulary import vocabulary_of
from mmrefseg.errors import FileError, InputError
from mmrefseg.models.layers.deformable_conv import DeformableConv
from mmrefseg.utils.shipped_files import config_path

TEXTS = ['the red car', 'a dog', 'the man in the blue shirt, second from the left of all who stand there and wait']


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        logits = other.logits.numpy()
        assert np.abs(one.logits - logits).max() <= 1e-4 * np.abs(logits).max()
        apart = (one.mask != other.mask).sum()
        assert apart <= 0.001 * other.mask.sum()
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert (one.expression, one.size) == (other.expression, other.size)
        if not apart:
            assert one.box == other.box


@pytest.mark.parametrize('batch_size', [1, 8])
def test_answers_as_the_original(sera, exported, image, batch_size):
    expected = sera(image, TEXTS, threshold=0.9)
    assert 0.05 < np.mean([found.mask.mean() for found in expected]) < 0.95
    assert_same(Model(exported).answer(image, TEXTS, 0.9, batch_size=batch_size), expected)


def test_several_images_at_once(sera, exported, image):
    model = Model(exported)
    prepared = [model.prepare(image), model.prepare(image[:, ::-1].copy()), model.prepare(image[:70])]
    found = model.ask(model.encode(prepared), prepared, [(2, TEXTS[0]), (0, TEXTS[1]), (1, TEXTS[2]), (0, TEXTS[0])])
    expected = [sera(image[:70], TEXTS[0]), sera(image, TEXTS[1]), sera(image[:, ::-1].copy(), TEXTS[2]),
                sera(image, TEXTS[0])]
    assert_same(found, [one for one, in expected])


def test_reads_files_as_the_original(sera, exported, image, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(image).save(tmp_path / 'turned.jpg', exif=turned)
    Image.fromarray(image).convert('P').save(tmp_path / 'few.png')
    model = Model(exported)
    for name in ('turned.jpg', 'few.png'):
        path = tmp_path / name
        expected = sera(str(path), TEXTS)
        for given in (path, path.read_bytes()):
            assert_same(model.answer(given, TEXTS), expected)


def test_without_opencv(sera, exported, image, monkeypatch, tmp_path):
    """As in an environment with Pillow alone; OpenCV rounds places to 1/32 of a pixel."""
    monkeypatch.setattr('mmrefseg.apis.export.refseg_onnx.cv2', None)
    Image.fromarray(image).save(tmp_path / 'image.png')
    for one, other in zip(Model(exported).answer(tmp_path / 'image.png', TEXTS), sera(image, TEXTS), strict=True):
        assert (one.mask ^ other.mask).sum() <= 0.02 * (one.mask | other.mask).sum()
        assert np.abs(one.probability - other.probability).mean() < 0.01


def test_resampling_is_pytorchs():
    values = torch.randn(1, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.interpolate(values, size=(20, 15), mode='bicubic', align_corners=True)[0, 0].numpy()
    rows = _resample(values[0, 0].numpy(), np.linspace(0, 8, 20), 0, 'edge')
    np.testing.assert_allclose(_resample(rows, np.linspace(0, 6, 15), 1, 'edge'), expected, atol=1e-5)


def test_tokens_are_open_clips(sera, exported):
    tokenizer, expected = Model(exported).tokenizer, sera.model.text_encoder.tokenizer
    strings = list(tokenizer_check_strings(1000, seed=1))
    assert len(set(strings)) > 950
    assert [tokenizer.encode(text) for text in strings] == [expected.encode(text) for text in strings]


@pytest.mark.parametrize('text', ['cafÃ©', 'donâ€™t go', 'â€œleftâ€\x9d cup', '20Â°C', 'das Ã¼ber uns, пять'])
def test_usual_broken_encodings_are_mended(sera, exported, text):
    assert Model(exported).tokenizer.encode(text) == sera.model.text_encoder.tokenizer.encode(text)


def test_padding_is_the_originals(sera, exported):
    ids, mask = Model(exported).tokenizer(TEXTS)
    expected = sera.model.text_encoder.tokenize(TEXTS)
    assert np.array_equal(ids, expected[0].numpy())
    assert np.array_equal(mask, expected[1].numpy())


def test_stands_alone(exported, image, tmp_path):
    """The shipped file, on its command line, without mmrefseg or PyTorch."""
    Image.fromarray(image).save(tmp_path / 'image.png')
    alone = ('import sys; sys.modules.update(torch=None, mmrefseg=None, mmengine=None, ftfy=None, regex=None)\n'
             'import refseg_onnx; refseg_onnx.main()')
    run = subprocess.run([sys.executable, '-c', alone, tmp_path / 'image.png', *TEXTS[:2], '--masks', tmp_path / 'out'],
                         cwd=exported, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = Model(exported).answer(image, TEXTS[:2])
    for line, one, name in zip(run.stdout.splitlines(), found, ('001.png', '002.png'), strict=True):
        assert line == f'{one.expression}: score {one.score:.2f}, box {one.box}'
        assert np.array_equal(np.asarray(Image.open(tmp_path / 'out' / name)) > 0, one.mask)


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def test_refuses_another_version_and_other_weights(exported, tmp_path):
    folder = copied(exported, tmp_path / 'a')
    notes = json.loads((folder / 'refseg.json').read_text())
    with (folder / 'image.onnx').open('r+b') as file:
        file.seek(100)
        file.write(b'other')
    with pytest.raises(RefSegError, match=r'image\.onnx is not the file that was exported'):
        Model(folder)
    (folder / 'image.onnx').unlink()
    with pytest.raises(RefSegError, match=r'image\.onnx is missing'):
        Model(folder)
    (folder / 'refseg.json').write_text(json.dumps(dict(notes, format=2)))
    with pytest.raises(RefSegError, match='format 2, and this refseg_onnx.py reads 1'):
        Model(folder)
    for damaged in ('{', '[]', '{"format": 1}'):
        (folder / 'refseg.json').write_text(damaged)
        with pytest.raises(RefSegError, match='damaged'):
            Model(folder)
    with pytest.raises(RefSegError, match='no exported model'):
        Model(tmp_path)


@pytest.mark.parametrize(('image', 'text', 'threshold', 'message'), [
    (b'', 'x', None, 'damaged'), (b'no image', 'x', None, 'damaged'), ('missing.png', 'x', None, 'cannot be read'),
    (np.zeros((4, 4), np.uint8), 'x', None, 'an array must be'), (np.zeros((4, 4, 3)), 'x', None, 'an array must be'),
    (np.zeros((4, 4, 3), np.uint8), ' ', None, 'blank'), (np.zeros((4, 4, 3), np.uint8), 5, None, 'no string'),
    (np.zeros((4, 4, 3), np.uint8), 'x' * 5000, None, '5000 characters'),
    (np.zeros((4, 4, 3), np.uint8), 'a \ud800', None, 'half a character'),
    (np.zeros((4, 4, 3), np.uint8), 'x', 1.5, 'threshold must be'),
])
def test_refuses_bad_questions(exported, image, text, threshold, message):
    with pytest.raises(RefSegError, match=message):
        Model(exported, check=False).answer(image, [text], threshold)


def test_smaller_weights_answer_nearly_the_same(sera, exported, image, tmp_path):
    expected = np.stack([found.logits.numpy() for found in sera(image, TEXTS)])
    for precision, share in (('float16', 0.6), ('int8', 0.35)):
        folder = copied(exported, tmp_path / precision)
        for name in ('image.onnx', 'text_and_mask.onnx'):
            _shrink(folder / name, precision)
        before, after = ((path / 'text_and_mask.onnx').stat().st_size for path in (exported, folder))
        assert after < share * before
        found = np.stack([one.logits for one in Model(folder, check=False).answer(image, TEXTS)])
        assert np.isfinite(found).all()
        if precision == 'float16':  # 8 bits change what a random model answers
            assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


def test_weights_of_8_bits_are_the_nearest(exported, tmp_path):
    whole = onnx.load(exported / 'image.onnx').graph.initializer
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in whole}
    path = copied(exported, tmp_path / 'int8') / 'image.onnx'
    _shrink(path, 'int8')
    small = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    names = [name.removesuffix('_quantized') for name in small if name.endswith('_quantized')]
    assert len(names) > 3
    for name in names:
        step = small[f'{name}_scale']
        found = (small[f'{name}_quantized'].astype(np.float32) - small[f'{name}_zero_point']) * step
        assert np.abs(found - weights[name]).max() <= 0.501 * step.max(), name


def test_check_finds_what_is_not_the_same(sera, exported, monkeypatch, capsys):
    monkeypatch.setattr('mmrefseg.apis.export.export_check.tokenizer_check_strings',
                        lambda number: tokenizer_check_strings(20))
    monkeypatch.setattr('mmrefseg.apis.export.export_check._RUNS', 3)
    monkeypatch.setattr('mmrefseg.apis.export.export_check._on_data',
                        lambda *args: Agreement(4, 0.0005, np.ones((4, 2))))
    assert check_export(sera, 'sera_tiny_refshapes', exported, 4)
    said = capsys.readouterr().out
    assert '20 of 20 odd strings' in said
    assert '0.0500% of the union apart on 4 expressions' in said
    assert 'mIoU: 100.00 with PyTorch, 100.00 exported' in said
    assert 'latency of 1 more expression' in said
    monkeypatch.setattr('mmrefseg.apis.export.export_check._on_data',
                        lambda *args: Agreement(4, 0.002, np.ones((4, 2))))
    assert not check_export(sera, 'sera_tiny_refshapes', exported, 4)
    assert 'not the same' in capsys.readouterr().out


def test_programs_answer_as_the_original(sera, graphs, tmp_path, monkeypatch):
    """As PyTorch's own format, in a program that knows nothing of mmrefseg."""
    monkeypatch.setattr('mmrefseg.apis.export.exporting.trace', lambda *args: graphs)
    monkeypatch.setattr('mmrefseg.apis.export.pt2_files.has_compiler', lambda: False)
    folder = export_model(sera, tmp_path, 'sera_tiny_refshapes', None, kind='pt2', split=True)
    assert sorted(path.name for path in folder.iterdir()) == [
        'README.md', 'image.pt2', 'refseg.json', 'text_and_mask.pt2', 'tokenizer.json']
    model = sera.model
    token_ids, token_mask = model.text_encoder.tokenize([*TEXTS, *TEXTS])
    images, index = torch.randn(1, 3, 112, 112), torch.zeros(6, dtype=torch.long)
    with torch.inference_mode():
        expected = model.answer(model.encode_image(images), token_ids, token_mask, index)[:, 0]
    image, text = (torch.export.load(folder / f'{name}.pt2').module() for name in ('image', 'text_and_mask'))
    torch.testing.assert_close(text(image(images), token_ids, token_mask, index), expected, atol=1e-4, rtol=1e-4)


SMALL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


@pytest.fixture(scope='module')
def small_graph() -> Graph:
    dynamic = ({0: torch.export.Dim('images')}, )
    program = torch.export.export(SMALL, (torch.randn(2, 3, 8, 8), ), dynamic_shapes=dynamic)
    return Graph('model', program, ('image', ), ('y', ))


@pytest.mark.skipif(not has_compiler(), reason='AOTInductor needs a C++ compiler')
def test_compiled_program(small_graph, tmp_path, monkeypatch):
    monkeypatch.setattr('torch._inductor.config.aot_inductor.compile_wrapper_opt_level', 'O0')
    assert write_pt2(small_graph, tmp_path) == ['model.pt2', 'model_compiled.pt2']
    compiled = torch._inductor.aoti_load_package(str(tmp_path / 'model_compiled.pt2'))
    more = torch.randn(5, 3, 8, 8)
    torch.testing.assert_close(compiled(more), SMALL(more))


def test_a_program_on_a_full_disk(small_graph, tmp_path, monkeypatch):
    """PyTorch's own writer of files ends the whole process there."""
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(FileError, match='has space left'):
        write_pt2(small_graph, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Deformable(nn.Module):
    """As in SegVLM's projector, at one scale."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = DeformableConv(8, 6, 'DCNv2', deform_groups=2, operator='torchvision')
        nn.init.normal_(self.conv.conv_offset.weight, std=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def test_deformable_convolution_is_one_operator(tmp_path):
    module, x = Deformable().eval().requires_grad_(False), torch.randn(2, 8, 9, 7)
    program = torch.export.export(module, (x, ), dynamic_shapes=({0: torch.export.Dim('images')}, ))
    assert write_onnx(Graph('model', program, ('x', ), ('y', )), tmp_path, 'float32') == ['model.onnx']
    operators = [node.op_type for node in onnx.load(tmp_path / 'model.onnx').graph.node]
    assert operators.count('DeformConv') == 1
    assert 'GridSample' not in operators
    session = onnxruntime.InferenceSession(tmp_path / 'model.onnx', providers=['CPUExecutionProvider'])
    more = torch.randn(3, 8, 9, 7)
    np.testing.assert_allclose(session.run(None, dict(x=more.numpy()))[0], module(more).numpy(), atol=1e-5)


class Unexportable(nn.Module):
    """A part whose way depends on values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


class WithoutTranslation(nn.Module):
    """A part with an operator that ONNX lacks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(x[..., :4, :4]).sum() + x


def test_names_the_part_that_cannot_be_traced(sera, monkeypatch):
    class Odd(type(sera.model.backbone)):
        def _embed(self, x):
            return super()._embed(self.odd(x))

    monkeypatch.setattr(sera.model.backbone, '__class__', Odd)
    sera.model.backbone.odd = Unexportable()
    try:
        with pytest.raises(InputError, match=r'cannot be exported: .*backbone\.odd \(Unexportable\)'):
            trace(sera.model, 112, True, 'torch')
    finally:
        del sera.model.backbone.odd


def test_names_the_operator_that_onnx_lacks(tmp_path):
    program = torch.export.export(nn.Sequential(nn.ReLU(), WithoutTranslation()), (torch.randn(4, 4), ))
    with pytest.raises(InputError, match=r'operator aten\._linalg_eigh\.default in 1'):
        write_onnx(Graph('model', program, ('x', ), ('y', )), tmp_path, 'float32')


def test_refuses_other_pipelines_and_tokenizers(sera):
    config = Config.fromfile(config_path('sera_tiny_refshapes'))
    steps = config.test_dataloader.dataset.pipeline
    for step in steps:
        if step['type'] == 'Letterbox':
            step['type'] = 'Stretch'
    with pytest.raises(InputError, match='by Stretch; only Letterbox'):
        geometry_of(RefSegInferencer(config, None, 'cpu'))
    with pytest.raises(InputError, match='text_encoder is Linear'):
        vocabulary_of(nn.Linear(1, 1))


def test_a_folder_that_cannot_be_written(sera, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(FileError, match='name a folder that you may write to'):
        export_model(sera, tmp_path / 'file', 'sera_tiny_refshapes', None)


@pytest.mark.parametrize('name', ['README.md', 'tokenizer.json', 'refseg_onnx.py', 'model.onnx'])
def test_files_of_others_are_not_replaced(sera, tmp_path, name):
    (tmp_path / name).write_text('precious')
    with pytest.raises(FileError, match=f'holds {name}, which is not of such a run'):
        export_model(sera, tmp_path, 'sera_tiny_refshapes', None)
    assert [path.read_text() for path in tmp_path.iterdir()] == ['precious']


def test_an_export_replaces_an_earlier_one_alone(sera, exported, graphs, tmp_path, monkeypatch):
    """Its notes may come from somebody else, and name what an export never writes; what fails removes nothing."""
    def write(graph, folder, precision):  # as write_onnx did for `exported`, which takes its time
        shutil.copyfile(exported / f'{graph.name}.onnx', folder / f'{graph.name}.onnx')
        return [f'{graph.name}.onnx']

    folder = copied(exported, tmp_path / 'a')
    notes = json.loads((folder / 'refseg.json').read_text())
    notes['files'] |= {'thesis.tex': '', '../outside': '', 'model.onnx': '', 'image_compiled.pt2': ''}
    (folder / 'refseg.json').write_text(json.dumps(notes))
    for path in (folder / 'thesis.tex', folder / 'model.onnx', tmp_path / 'outside'):
        path.write_text('')
    (folder / 'image_compiled.pt2').symlink_to(tmp_path / 'elsewhere')

    def fail(*_):
        raise InputError('cannot be traced')

    monkeypatch.setattr('mmrefseg.apis.export.exporting.trace', fail)
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match='traced'):
        export_model(sera, folder, 'sera_tiny_refshapes', None, split=True)
    assert sorted(folder.iterdir()) == before
    monkeypatch.setattr('mmrefseg.apis.export.exporting.trace', lambda *args: graphs)
    monkeypatch.setattr('mmrefseg.apis.export.exporting.write_onnx', write)
    export_model(sera, folder, 'sera_tiny_refshapes', None, split=True)
    assert (folder / 'thesis.tex').exists() and (tmp_path / 'outside').exists()
    assert not (folder / 'model.onnx').exists() and Model(folder)
    assert not (folder / 'image_compiled.pt2').is_symlink()  # nothing may be written to where it leads
