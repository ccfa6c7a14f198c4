"""Files of annotation tools that were damaged, or made to do harm."""
import json
import os
import re
import shutil

import pytest
from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzed_surfaces.imports import IMPORTS
from helpers.fuzzing import endings
from PIL import Image

from mmrefseg.datasets.importing import Options, import_annotations, recognise
from mmrefseg.errors import InputError, UserError


@pytest.mark.parametrize('kind', IMPORTS)
def test_damage_ends_clearly(tmp_path, kind):
    attempt = SURFACES[f'imports: {kind}'](tmp_path)
    attempt(None)
    assert endings(attempt, range(60)).unclear == {}


def write(root, name, **changes):
    """The files of an export, some of them changed."""
    for file, content in {**IMPORTS[name][1], **changes}.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(content)
    (root / 'images').mkdir(exist_ok=True)
    Image.new('RGB', (20, 10)).save(root / 'images/a.jpg')
    return root


BOMB = 'a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n'
ENTITIES = '<!DOCTYPE a [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(('name', 'file', 'change', 'message'), [
    ('yolo', 'data.yaml', lambda text: BOMB + 'names: *c\n', r'its aliases \(\*name\) might unfold'),
    ('yolo', 'data.yaml', lambda text: 'a: &a {x: 1}\nb: {<<: [*a, *a]}\n' + text, 'its aliases'),
    ('yolo', 'data.yaml', lambda text: 'names: [cup, off]', "'names' holds yes, no, on or off"),
    ('yolo', 'data.yaml', lambda text: 'names: [[cup], box]', "'names' must give each class one name"),
    ('yolo', 'data.yaml', lambda text: '!!python/object/apply:os.system ["touch marker"]', 'no YAML that is read'),
    ('yolo', 'data.yaml', lambda text: '#' * (1 << 17) + '\n' + text, 'no file of this kind of more than'),
    ('cvat', 'annotations.xml', lambda text: text.replace('<ann', ENTITIES + '<ann'), 'declares a document type'),
    ('cvat', 'annotations.xml', lambda text: text.replace('<ann', OUTSIDE + '<ann'), 'declares a document type'),
    ('cvat', 'annotations.xml', lambda text: text.replace('utf-8', 'nobodys'), 'it is not a whole XML'),
    ('cvat', 'annotations.xml', lambda text: text.replace('utf-8', 'utf-7'), 'it is not a whole XML'),
    ('cvat', 'annotations.xml', lambda text: text.replace('utf-8', 'shift_jis'), 'it is not a whole XML'),
    ('cvat', 'annotations.xml', lambda text: text.replace('2,1;', '1' * 5000 + ',1;'), 'points must be a finite'),
    ('label-studio', 'x.json', lambda text: text.replace('/data/up', 'http://[x/up'), 'is no address of an image'),
    ('label-studio', 'x.json', lambda text: text.replace('"polygonlabels",', '["polygonlabels"],'), "'type' must be"),
    ('labelme', 'a.json', lambda text: f'[{text}]', 'expected a dictionary, got an object of type list'),
    ('coco', 'x.json', lambda text: text.replace('[10, 20]', '10'), 'size must be a list of numbers'),
    ('coco', 'x.json', lambda text: text.replace('[10, 20]', '[10, 20, 5]'), 'RLE must have the size'),
    ('coco', 'x.json', lambda text: re.sub(r'(\{"size".*?\})', r'[[1, 1, 5, 1, 5, 5], \1]', text),
     'segmentation mixes polygons and RLEs'),
    ('coco', 'x.json', lambda text: text.replace('[{"id": 3, "name": "cup"}]', '7'), "'categories' must be of type"),
    ('coco', 'x.json', lambda text: text.replace('a.jpg', '\\u0000'), 'is not there|is no path'),
    ('coco', 'x.json', lambda text: text.replace('a.jpg', '..'), 'has the empty name'),
    ('refcoco', 'refs.json', lambda text: text.replace('"train"', '"../../x"'), "a split must be a path below"),
    ('refcoco', 'refs.json', lambda text: text.replace('"train"', '"a/b"'), "a split must be a split's name"),
    ('table', 'x.csv', lambda text: text.replace('"[[2,1,6,1,6,5,2,5]]"', '../../../etc/passwd'), 'is not there'),
    ('table', 'x.csv', lambda text: text.replace('"[[2,1,6,1,6,5,2,5]]"', '"' + '[' * 100_000 + '"'), 'is none'),
])
def test_attacks(tmp_path, monkeypatch, name, file, change, message):
    monkeypatch.chdir(tmp_path)
    text = IMPORTS[name][1][file]
    root = write(tmp_path / 'src', name, **{file: change(text)})
    assert change(text) != text
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    source = root / 'refs.json' if name == 'refcoco' else root
    with pytest.raises(UserError, match=message):
        import_annotations(name, source, tmp_path / 'out', Options(boxes=True))
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


@pytest.mark.parametrize('name', [name for name in IMPORTS if name != 'yolo names' and 'refcoco' not in name])
@pytest.mark.parametrize('what', ['image', 'file'])
def test_links_out_of_the_source(tmp_path, name, what):
    """What they lead to would be copied into a folder that others get."""
    root = write(tmp_path / 'src', name)
    path = root / ('images/a.jpg' if what == 'image' else IMPORTS[name][0])
    shutil.move(path, tmp_path / 'secret')
    path.symlink_to(tmp_path / 'secret')
    with pytest.raises(InputError, match='is a link to .*secret, outside of .*src. Copy the file there'):
        import_annotations(name, root, tmp_path / 'out', Options(boxes=True))
    assert sorted(os.listdir(tmp_path)) == ['secret', 'src']
    path.unlink()
    shutil.move(tmp_path / 'secret', path)
    (tmp_path / 'linked').symlink_to(root)
    assert import_annotations(name, tmp_path / 'linked', tmp_path / 'out', Options(boxes=True)).splits


@pytest.mark.parametrize(('content', 'kind'), [
    (b'\xef\xbb\xbf', 'an empty file'), (b'inf 1 1 1 1', 'text of an unknown'), (b'nan 1 1 1 1', 'text of an unknown'),
    (b'1e400 1 1 1 1', 'text of an unknown'), (b'\x1c', 'text of an unknown'), (b'\xc2\x85', 'text of an unknown'),
    (b'{', 'JSON of an unknown'), (b'{"a": 1, "a": 2}', 'JSON of an unknown'),
    (b'[' * 100_000, 'JSON of an unknown')])
def test_odd_files_are_called_something(tmp_path, content, kind):
    (tmp_path / 'a').write_bytes(content)
    assert recognise(tmp_path / 'a').startswith(kind)


def test_a_brush_that_declares_much(tmp_path):
    """No more than an image may have is made room for."""
    text = json.loads(IMPORTS['label-studio'][1]['x.json'])
    region = text[0]['annotations'][0]['result'][0]
    region.update(type='brushlabels', original_height=60_000, original_width=60_000,
                  value={'rle': [*(4 * 60_000**2 % 2**32).to_bytes(4, 'big'), 0, 0, 0]})
    write(tmp_path / 'src', 'label-studio', **{'x.json': json.dumps(text)})
    with pytest.raises(InputError, match='size that may exhaust the memory'):
        import_annotations('label-studio', tmp_path / 'src', tmp_path / 'out')
