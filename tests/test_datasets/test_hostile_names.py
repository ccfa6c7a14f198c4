"""Names in files of data sets that lead somewhere else: nothing outside is read, nothing outside is written."""
import json
import os
import pickle
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.instance_files import tiny_coco, write_coco, write_voc
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmrefseg.datasets import CocoPromptDataset, JSONLinesDataset, RefCOCODataset, ReferringMixture, VOCPromptDataset
from mmrefseg.datasets.preparation import prepare
from mmrefseg.datasets.transforms.loading import read_image
from mmrefseg.errors import InputError, UserError

PIECES = ('..', '../', '.', '/', '\\', 'C:', '\0', '\n', 'images', 'one.jpg', 'secret.jpg', 'link', 'ä', '\ud800',
          'x' * 200, 'TOP')
names = st.lists(st.sampled_from(PIECES), max_size=5).map(''.join)
few = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def top(tmp_path):
    """A data set, and beside it what nobody is to touch."""
    root = write_refcoco(tmp_path / 'data', tiny_refcoco())
    shutil.copy(root / 'images/one.jpg', tmp_path / 'secret.jpg')
    (tmp_path / 'victim.jsonl').write_text('precious')
    return tmp_path


def _real(name, top):
    return name.replace('TOP', str(top))


def _prepared(name, top, recipe):
    """Prepare, and see what became of everything outside."""
    before = {path: path.read_bytes() for path in top.rglob('*') if path.is_file()}
    try:
        prepare(recipe, [top / 'data'], top / 'out', skip_broken=True)
        for path in (top / 'out/images').rglob('*'):
            assert os.path.realpath(path).startswith(f'{top}/data/images/') or path.is_dir()
        assert all(b'secret' not in path.read_bytes() for path in (top / 'out/annotations').iterdir())
    finally:
        shutil.rmtree(top / 'out', ignore_errors=True)
        assert {path: path.read_bytes() for path in top.rglob('*') if path.is_file()} == before


@few
@given(name=names)
@example(name='TOP/victim')
@example(name='../../../victim')
@example(name='../victim')
@example(name='')
def test_splits(top, name):
    content = tiny_refcoco()
    content['refs'][0]['split'] = _real(name, top)
    (top / 'data/refs(unc).p').write_bytes(pickle.dumps(content['refs'], protocol=2))
    with suppress(UserError):
        _prepared(name, top, 'refshapes')


@few
@given(name=names)
@example(name='../../secret.jpg')
@example(name='TOP/secret.jpg')
@example(name='../images/one.jpg')
@example(name='')
def test_names_of_images(top, name):
    name = _real(name, top)
    content = tiny_refcoco()
    content['images'][0]['file_name'] = name
    (top / 'data/instances.json').write_text(json.dumps({key: content[key] for key in ('images', 'annotations')}))
    (top / 'data/annotations').mkdir(exist_ok=True)
    line = {'image': name, 'expression': 'a', 'mask': None, 'height': 24, 'width': 32}
    (top / 'data/annotations/train.jsonl').write_text(json.dumps(line))
    coco = tiny_coco()
    coco['images'][0]['file_name'] = name
    write = write_coco(top / 'coco', tiny_coco(), 'train2017')
    (write / 'annotations/instances_train2017.json').write_text(json.dumps(coco))
    for kind, root in ((RefCOCODataset, 'data'), (JSONLinesDataset, 'data'), (CocoPromptDataset, 'coco')):
        with suppress(UserError):
            dataset = kind(str(top / root), split='train')
            folder = os.path.join(dataset.data_prefix['img_path'], '')
            for index in range(len(dataset)):
                path = dataset.get_data_info(index)['img_path']
                assert os.path.normpath(path).startswith(folder) and os.path.normpath(path) == path
    for recipe in ('refshapes', 'jsonl'):
        with suppress(UserError):
            _prepared(name, top, recipe)


@few
@given(name=names)
@example(name='../secret.jpg')
@example(name='TOP/secret.jpg')
def test_names_of_masks(top, name):
    (top / 'data/annotations').mkdir(exist_ok=True)
    line = {'image': 'one.jpg', 'expression': 'a', 'mask': _real(name, top), 'height': 24, 'width': 32}
    (top / 'data/annotations/train.jsonl').write_text(json.dumps(line))
    with suppress(UserError):
        mask = JSONLinesDataset(str(top / 'data')).get_data_info(0)['segmentation']['file']
        assert os.path.normpath(mask).startswith(f'{top}/data/')
    with suppress(UserError):
        _prepared(name, top, 'jsonl')


@few
@given(name=names.filter(bool))
@example(name='../victim.jsonl')
@example(name='data\\..\\..\\victim.jsonl')
def test_names_in_archives(top, name):
    shutil.rmtree(top / 'data/zips', ignore_errors=True)
    (top / 'data/zips').mkdir()
    (top / 'data/annotations').mkdir(exist_ok=True)
    (top / 'data/annotations/train.jsonl').write_text(json.dumps(
        {'image': 'a.jpg', 'expression': 'a', 'mask': None, 'height': 24, 'width': 32}))
    with zipfile.ZipFile(top / 'data/zips/x.zip', 'w') as archive, suppress(UnicodeEncodeError):
        archive.writestr(_real(name, top), 'evil')
    with suppress(UserError):
        _prepared(name, top, 'jsonl')


@pytest.mark.parametrize('name', ['2007_000032/../../../secret', '/etc/passwd', '٢٠٠٧_000032', '..'])
def test_names_of_voc(tmp_path, name):
    root = write_voc(tmp_path)
    (root / 'ImageSets/Segmentation/train.txt').write_text(name)
    with pytest.raises(InputError, match='must hold names such as 2007_000032'):
        VOCPromptDataset(str(root), split='train')


@pytest.mark.parametrize('kind', [Path.symlink_to, None])
def test_what_is_no_file(top, kind):
    """A pipe nobody writes to, or a link to endless zeros, under the name of an image, a mask and annotations."""
    def put(path):
        path.unlink()
        path.symlink_to('/dev/zero') if kind else os.mkfifo(path)

    (top / 'data/annotations').mkdir()
    line = {'image': 'one.jpg', 'expression': 'a', 'mask': 'two.png'}
    for name in ('annotations/train.jsonl', 'two.png', 'prepared'):
        (top / 'data' / name).write_text(json.dumps(line))
    (top / 'data/prepared').unlink()
    put(top / 'data/images/one.jpg')
    with pytest.raises(InputError, match='one.jpg is no file, but a folder, pipe or device'):
        JSONLinesDataset(str(top / 'data'))
    with pytest.raises(InputError, match='one.jpg is no file, but a folder, pipe or device'):
        read_image(top / 'data/images/one.jpg')
    with pytest.raises(InputError, match='one.jpg is no file, but a folder, pipe or device'):
        prepare('refshapes', [top / 'data'], top / 'out')
    for name, read in (('refs(unc).p', RefCOCODataset), ('instances.json', RefCOCODataset),
                       ('annotations/train.jsonl', JSONLinesDataset)):
        content = (top / 'data' / name).read_bytes()
        put(top / 'data' / name)
        with pytest.raises(UserError, match='missing|is no file, but a folder, pipe or device'):
            read(str(top / 'data'))
        (top / 'data' / name).unlink()
        (top / 'data' / name).write_bytes(content)


def test_links_out_of_the_folder(top):
    """Refused, unless the user laid the data together so and says it; a folder itself may be a link."""
    (top / 'data/images/one.jpg').unlink()
    (top / 'data/images/one.jpg').symlink_to(top / 'secret.jpg')
    assert len(RefCOCODataset(str(top / 'data'), allow_links_out=True,
                              pipeline=[{'type': 'LoadReferringImage'}])[0]['img']) == 24
    strict = RefCOCODataset(str(top / 'data'))
    with pytest.raises(InputError, match='one.jpg is a link to .*secret.jpg, outside of .*data/images.*'
                       'allow_links_out=True'):
        strict.get_data_info(0)
    assert strict.get_data_info(2)['img_path'].endswith('two.png')
    (top / 'other').symlink_to(top / 'data')
    assert RefCOCODataset(str(top / 'other')).get_data_info(2)
    mixture = ReferringMixture([dict(type='RefCOCODataset', data_root=str(top / 'data'))])
    with pytest.raises(InputError, match='one.jpg is a link to'):
        mixture.get_data_info(0)
    (top / 'data/prepared.json').touch()
    assert RefCOCODataset(str(top / 'data')).get_data_info(0)
