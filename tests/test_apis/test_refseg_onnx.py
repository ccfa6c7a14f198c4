"""Folders for the stand-alone code that others may have made: damaged ones are refused, and nothing outside is read."""
import hashlib
import os
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from helpers.exported_folders import IMAGE, INPUTS, folder_of, maps
from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzing import endings
from onnx import TensorProto
from PIL import Image

from mmrefseg.apis.export import refseg_onnx
from mmrefseg.apis.export.refseg_onnx import Model, RefSegError, read_image
from mmrefseg.apis.inference.model_loading import load_inferencer
from mmrefseg.errors import InputError


def ask(folder: Path, text: str = 'ab x'):
    return Model(folder).answer(IMAGE, text)[0]


def test_a_whole_folder_answers(tmp_path):
    assert ask(folder_of(tmp_path)).mask.mean() > 0.9
    assert ask(folder_of(tmp_path, maps(1, 8, 8, value=-1))).box is None


@pytest.mark.parametrize(('key', 'value'), [
    ('graph', 5), ('graph', None), ('size', 'x'), ('size', 0), ('size', -5), ('size', 1 << 20), ('size', 8.5),
    ('mean', [1]), ('mean', 'xyz'), ('mean', [1, 2, None]), ('std', [0, 0, 0]), ('std', [1, 2]), ('std', [1, 1, -1]),
    ('border', 5), ('border', [1]), ('threshold', 'x'), ('threshold', 5), ('threshold', float('nan')),
    ('num_tokens', 2), ('num_tokens', 'x'), ('num_tokens', 10**9), ('files', []), ('files', {}),
    ('files', {'model.onnx': 1}), ('kind', 'exe'), ('format', True), ('mean', [10**400, 0, 0]),
    pytest.param('threshold', 10**400, id='threshold-endless')])
def test_notes_that_cannot_be(tmp_path, key, value):
    for edit in (lambda notes: notes.update({key: value}), lambda notes: notes.pop(key)):
        with pytest.raises(RefSegError, match='damaged|format'):
            ask(folder_of(tmp_path, edit=edit))


def test_a_network_whose_sum_nobody_tells(tmp_path):
    with pytest.raises(RefSegError, match='SHA-256 of model'):
        ask(folder_of(tmp_path, edit=lambda notes: notes['files'].pop('model.onnx')))


@pytest.mark.parametrize('change', [
    dict(merges=[1]), dict(merges=['a b c']), dict(special=['a']), dict(letters=']+)+$|(x+x+)+y|[a'), dict(letters=''),
    dict(letters='z-a'), dict(letters='a\\'), dict(replace={'ab': 'c'}), dict(replace={'a': 5}), dict(entities=None),
    dict(remove=5), dict(endings='s'), dict(endings=['']), dict(special=['', 'b'])])
def test_words_that_cannot_be(tmp_path, change):
    with pytest.raises(RefSegError, match='damaged'):
        ask(folder_of(tmp_path, edit_words=lambda words: words.update(change)))
    with pytest.raises(RefSegError, match='damaged'):
        ask(folder_of(tmp_path, edit_words=lambda words: words.pop(next(iter(change)))))


@pytest.mark.parametrize('name', ['refseg.json', 'tokenizer.json'])
def test_a_number_of_thousands_of_digits(tmp_path, name):
    folder = folder_of(tmp_path, edit=lambda notes: notes['files'].update({'tokenizer.json': hashlib.sha256(
        b'{"merges": ' + b'9' * 5000 + b'}').hexdigest()}))
    (folder / name).write_bytes(b'{"merges": ' + b'9' * 5000 + b'}')
    with pytest.raises(RefSegError, match=f'{name} is damaged'):
        ask(folder)


def test_masks_are_not_written_through_links(tmp_path, monkeypatch):
    victim, masks = tmp_path / 'victim', tmp_path / 'masks'
    victim.write_text('precious')
    masks.mkdir()
    cv2.imwrite(str(tmp_path / 'photo.png'), IMAGE)
    for cv in (cv2, None):
        monkeypatch.setattr(refseg_onnx, 'cv2', cv)
        (masks / '001.png').unlink(missing_ok=True)
        (masks / '001.png').symlink_to(victim)
        refseg_onnx.main([str(tmp_path / 'photo.png'), 'ab x', '--folder', str(folder_of(tmp_path / 'model')),
                          '--masks', str(masks)])
        assert victim.read_text() == 'precious' and cv2.imread(str(masks / '001.png')).mean() > 230


@pytest.mark.parametrize('replace', [{'x': 'xx'}, {'x': 'ab', 'a': 'x'}, {'a': 'x', 'x': 'a'}, {'á': 'a\u0301b'}])
def test_replacing_without_end(tmp_path, replace):
    """The text would double until the memory is full."""
    model = Model(folder_of(tmp_path, edit_words=lambda words: words.update(replace=replace)))
    with pytest.raises(RefSegError, match='without end'):
        model.answer(IMAGE, 'x á')


def test_json_without_end(tmp_path):
    folder_of(tmp_path)
    for name in ('refseg.json', 'tokenizer.json'):
        before = (tmp_path / name).read_bytes()
        for content in (b'[' * 100_000, b'\xff\xfe', b'3'):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(RefSegError, match='damaged|not the file'):
                Model(tmp_path, check=False)
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        with pytest.raises(RefSegError, match='no file|is missing'):
            Model(tmp_path, check=False)
        (tmp_path / name).unlink()
        (tmp_path / name).write_bytes(before)


@pytest.mark.parametrize('logits', [maps(2, 8, 8), maps(1, 8), maps(1), maps(0, 8, 8), maps(1, 0, 0),
                                    maps(1, 8, 8, value=np.nan), maps(1, 8, 8, value=np.inf)])
def test_networks_that_give_no_maps(tmp_path, logits):
    with pytest.raises(RefSegError, match='no map of finite numbers'):
        ask(folder_of(tmp_path, logits))


def test_networks_that_take_something_else(tmp_path):
    with pytest.raises(RefSegError, match='not what refseg.json says'):
        ask(folder_of(tmp_path, inputs=INPUTS[:3]))
    with pytest.raises(RefSegError, match='cannot compute'):
        ask(folder_of(tmp_path, edit=lambda notes: notes.update(size=33)))


def test_weights_outside_of_the_folder_are_not_read(tmp_path):
    (tmp_path / 'secret').write_bytes(bytes(4 * 64))
    for place in ('../secret', str(tmp_path / 'secret'), 'link'):
        logits = TensorProto(name='c', data_type=TensorProto.FLOAT, dims=[1, 8, 8],
                             data_location=TensorProto.EXTERNAL)
        for key, value in (('location', place), ('offset', '0'), ('length', '256')):
            logits.external_data.append(onnx.StringStringEntryProto(key=key, value=value))
        folder = folder_of(tmp_path / 'folder', logits)
        if place == 'link' and not (folder / 'link').exists():
            (folder / 'link').symlink_to(tmp_path / 'secret')
        with pytest.raises(RefSegError, match='cannot be loaded'):
            ask(folder)


def encoded(picture: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize('reader', ['OpenCV', 'Pillow'])
def test_values_of_fewer_bits_are_no_black_picture(monkeypatch, reader):
    dark = IMAGE.astype(np.uint16) << 4
    whole = IMAGE.astype(np.uint16) << 8
    if reader == 'Pillow':
        monkeypatch.setattr(refseg_onnx, 'cv2', None)
    for picture in (dark, dark[..., 0]):
        with pytest.raises(RefSegError, match='look black'):
            read_image(cv2.imencode('.png', picture)[1].tobytes())
    assert np.array_equal(read_image(cv2.imencode('.png', whole)[1].tobytes()), IMAGE[..., ::-1])
    assert np.array_equal(read_image(cv2.imencode('.png', whole[..., 0])[1].tobytes()),
                          np.repeat(IMAGE[..., :1], 3, axis=2))


@pytest.mark.parametrize('mode', ['I', 'F'])
def test_values_of_unknown_range(monkeypatch, mode):
    """Pillow would make all above 255 white."""
    picture = Image.fromarray(np.arange(6000).reshape(60, 100).astype(np.int32 if mode == 'I' else np.float32))
    monkeypatch.setattr(refseg_onnx, 'cv2', None)
    for given in (picture, encoded(picture, 'TIFF')):
        with pytest.raises(RefSegError, match='range is not known'):
            read_image(given)


@pytest.mark.parametrize('image', ['a\0b', None, 5, '/dev/zero', '.'])
def test_what_is_no_image(image):
    with pytest.raises(RefSegError, match=r'no path|must be a path|no file'):
        read_image(image)


def test_a_picture_that_is_a_program(tmp_path, monkeypatch):
    """Pillow has Ghostscript run it."""
    def run(*_):
        raise AssertionError('it was run')

    monkeypatch.setattr(refseg_onnx, 'cv2', None)
    monkeypatch.setattr('PIL.EpsImagePlugin.Ghostscript', run)
    (tmp_path / 'photo.jpg').write_bytes(
        b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n')
    for image in (tmp_path / 'photo.jpg', (tmp_path / 'photo.jpg').read_bytes()):
        with pytest.raises(RefSegError, match='damaged, or no image'):
            read_image(image)


def test_numbers_of_questions(tmp_path):
    model = Model(folder_of(tmp_path))
    with pytest.raises(RefSegError, match='batch_size'):
        model.answer(IMAGE, 'x', batch_size=0)
    with pytest.raises(RefSegError, match='threshold must be'):
        model.answer(IMAGE, 'x', threshold='0.5')


@pytest.mark.parametrize('kind', [kind for kind in SURFACES if kind.startswith('exported')])
def test_damage_ends_clearly_in_both_readers(tmp_path, kind):
    attempt = SURFACES[kind](tmp_path)
    attempt(None)
    assert endings(attempt, range(24)).unclear == {}


def test_a_name_that_is_no_text(tmp_path):
    root = folder_of(tmp_path)
    content = (root / 'model.onnx').read_bytes()
    (root / 'model.onnx').write_bytes(content.replace(b'image_index', b'image_\xff\xfe\xff\xfe\xff'))
    with pytest.raises(RefSegError, match='names in a network are damaged'):
        Model(root, check=False).answer(IMAGE, 'ab x')


def test_a_network_that_gives_no_answer_is_told_by_the_inferencer(tmp_path):
    ask = load_inferencer(folder_of(tmp_path, maps(3, 8, 8)), device='cpu')
    with pytest.raises(InputError, match='gave no map of finite numbers'):
        ask(IMAGE, 'ab x')
