"""Getting public data sets, from mirrors that drop, truncate, redirect and lie."""
import hashlib
import io
import re
import zipfile

import pytest
from helpers.file_server import Served, serving
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets.preparation import RECIPES, downloading, fetch, prepare, read_manifest
from mmrefseg.datasets.preparation.published_files import PUBLISHED_FILES, PublishedFile
from mmrefseg.errors import FileError, InputError


def zip_of(folder, prefix, *names):
    """Files of a folder as a zip archive, below another folder in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as archive:
        for path in [path for name in names for path in sorted(folder.glob(name))]:
            archive.write(path, f'{prefix}/{path.name}')
    return content.getvalue()


@pytest.fixture
def archives(tmp_path):
    """The two archives of a tiny RefCOCO."""
    folder = write_refcoco(tmp_path / 'made', tiny_refcoco())
    return zip_of(folder, 'refshapes', '*.json', '*.p'), zip_of(folder / 'images', 'train2014', '*')


@pytest.fixture
def served(archives, monkeypatch):
    """A server of them, the first with two mirrors; the data set is called ``refshapes``."""
    refs, images = archives
    with serving({'/refs.zip': Served(refs), '/mirror.zip': Served(refs), '/images.zip': Served(images)}) as server:
        files = (
            PublishedFile('refs.zip', (f'{server.address}/refs.zip', f'{server.address}/mirror.zip'), 'CC0',
                          'refshapes/instances.json'),
            PublishedFile('train2014.zip', (f'{server.address}/images.zip', ), 'CC0', 'train2014', len(images),
                          hashlib.sha256(images).hexdigest()))
        monkeypatch.setattr(downloading, 'PUBLISHED_FILES', {'refshapes': files})
        yield server


def test_what_is_missing_comes_and_is_prepared(served, tmp_path):
    told = []
    folder = tmp_path / 'new'
    assert fetch('refshapes', [folder], told.append) == [folder / 'refs.zip', folder / 'train2014.zip']
    assert re.fullmatch(r'refs\.zip, of unknown size, from http\S+ \(an address .*\)\. Licence: CC0', told[0])
    assert served.asked == [('/refs.zip', None), ('/images.zip', None)]
    assert prepare('refshapes', [folder], tmp_path / 'out')
    assert read_manifest(tmp_path / 'out')['splits']['train']['refs'] == 3
    assert fetch('refshapes', [folder]) == [], 'nothing is missing any more'
    assert len(served.asked) == 2


def test_what_is_there_unpacked_is_not_fetched(served, tmp_path):
    write_refcoco(tmp_path / 'mine/refshapes', tiny_refcoco())
    (tmp_path / 'mine/refshapes/images').rename(tmp_path / 'mine/train2014')
    assert fetch('refshapes', [tmp_path / 'new', tmp_path / 'mine']) == []
    assert served.asked == []


def test_a_file_of_another_size_is_refused(served, tmp_path):
    (tmp_path / 'train2014.zip').write_bytes(zip_of(tmp_path, 'train2014'))
    with pytest.raises(InputError, match=r'train2014\.zip has 22 bytes, but the published file has .*Remove it'):
        fetch('refshapes', [tmp_path])
    assert served.asked == []


@pytest.mark.parametrize('trick', [
    dict(content=b'<html>Sign in</html>', kind='text/html'), dict(content=b'<html>Sign in</html>'),
    dict(cut=10, without_size=True), dict(redirect='/nowhere'), dict(redirect='file:///etc/passwd'),
    dict(cut=0), dict(etag='0' * 64)])
def test_the_next_mirror_helps(served, archives, tmp_path, trick):
    served.files['/refs.zip'] = Served(archives[0])._replace(**trick)
    fetch('refshapes', [tmp_path / 'new'])
    assert (tmp_path / 'new/refs.zip').read_bytes() == archives[0]
    assert ('/mirror.zip', None) in served.asked


def test_a_mirror_that_drops_is_asked_for_the_rest(served, archives, tmp_path):
    served.files['/refs.zip'] = Served(archives[0], cut=len(archives[0]) // 3, answers_head=False)
    fetch('refshapes', [tmp_path / 'new'])
    third = len(archives[0]) // 3
    assert [piece for path, piece in served.asked if path == '/refs.zip'] == [
        None, *(f'bytes={third * number}-' for number in (1, 2, 3)[:2 + (len(archives[0]) % 3 > 0)])]
    assert (tmp_path / 'new/refs.zip').read_bytes() == archives[0]


def test_no_mirror_helps(served, tmp_path):
    del served.files['/refs.zip'], served.files['/mirror.zip']
    with pytest.raises(FileError) as error:
        fetch('refshapes', [tmp_path / 'new'])
    text = str(error.value)
    assert text.startswith('refs.zip cannot be downloaded. Run the same command again') and text.count('404') == 2
    assert f'from {served.address}/refs.zip or {served.address}/mirror.zip' in text
    assert f'put it there as {tmp_path}/new/refs.zip' in text


def test_a_lie_about_published_content(served, archives, tmp_path):
    wrong = bytearray(archives[1])
    wrong[60] ^= 1
    served.files['/images.zip'] = Served(bytes(wrong))
    with pytest.raises(FileError, match='its SHA-256 is not'):
        fetch('refshapes', [tmp_path / 'new'])
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['refs.zip']


@pytest.mark.parametrize(('name', 'message'), [
    ('voc-prompts', 'VOCtrainval_11-May-2012.tar'), ('jsonl', 'your own hands')])
def test_by_hand(tmp_path, name, message):
    with pytest.raises(InputError, match=rf'{name} is not among the data sets that are .*{message}.*by hand'):
        fetch(name, [tmp_path])
    with pytest.raises(InputError, match='name the folder to download into'):
        fetch('refcoco-unc', [])


def test_the_table():
    files = {file for files in PUBLISHED_FILES.values() for file in files}
    assert set(PUBLISHED_FILES) < set(RECIPES)
    assert len({file.name for file in files}) == len(files)
    for file in files:
        assert all(address.startswith('http') for address in file.mirrors) and file.licence
        assert (file.sha256 is None) == (file.size is None)
        assert file.sha256 is None or re.fullmatch('[0-9a-f]{64}', file.sha256)
        assert not file.tried, 'addresses are tried where there is a network, and then noted'
