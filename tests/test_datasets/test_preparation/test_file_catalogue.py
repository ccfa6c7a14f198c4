import os
import stat
import zipfile
from pathlib import PurePosixPath

import pytest

from mmrefseg.datasets.preparation.file_catalogue import Catalogue, FileLocation, _archive


def _write_zip(path, members, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w', **kwargs) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def files(tmp_path):
    """Two files named a.jpg: one of its own, one in an archive; and a prepared data set."""
    for name in ('one/train/a.jpg', 'one/b.txt', 'one/prepared/a.jpg', 'one/prepared/prepared.json',
                 'one/started/.unfinished/images/a.jpg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    _write_zip(tmp_path / 'one/two.zip', {'train/': '', 'train/a.jpg': 'zipped', 'b.txt': ''})
    return tmp_path / 'one'


def test_find(files):
    catalogue = Catalogue([files])
    own, zipped = FileLocation(str(files / 'train/a.jpg')), FileLocation(str(files / 'two.zip'), 'train/a.jpg')
    assert catalogue.find('a.jpg') == catalogue.find('train/a.jpg') == [own, zipped]
    assert catalogue.find('rain/a.jpg') == catalogue.find('c') == []
    assert (own.read(100), zipped.read(100)) == (b'one/train/a.jpg', b'zipped')
    assert (own.size(), zipped.size()) == (15, 6)
    assert str(zipped) == f'{files}/two.zip!train/a.jpg'


def test_each_process_opens_an_archive_for_itself(files):
    path = str(files / 'two.zip')
    ours = _archive(path)
    assert _archive(path) is ours
    child = os.fork()
    if child == 0:
        os._exit(_archive(path) is ours)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_folders_with(files):
    catalogue = Catalogue([files])
    both = [PurePosixPath(files), PurePosixPath(files / 'two.zip')]
    assert catalogue.folders_with(['b.txt', 'train/a.jpg']) == catalogue.folders_with(['b.*', 'train/*.jpg']) == both
    assert catalogue.folders_with(['b.txt', 'a.jpg']) == []
    assert catalogue.find_in(both[1], 'train/*.jpg') == [FileLocation(str(files / 'two.zip'), 'train/a.jpg')]


def test_links_are_followed_but_not_in_circles(files):
    (files / 'train/up').symlink_to(files)
    (files.parent / 'other').mkdir()
    (files.parent / 'other/link').symlink_to(files / 'train')
    assert len(Catalogue([files]).find('a.jpg')) == 2
    assert len(Catalogue([files.parent / 'other']).find('a.jpg')) == 2  # by way of the link to above, too


@pytest.mark.parametrize('name', ['../a.jpg', 'x/../../a.jpg', '/etc/passwd', '\\a', 'x\\..\\..\\a', 'C:/a', 'C:\\a'])
def test_members_that_point_outside_are_refused(tmp_path, name):
    _write_zip(tmp_path / 'bad.zip', {name: 'x'})
    with pytest.raises(ValueError, match='bad.zip is refused: the name of a member must be a path below its folder'):
        Catalogue([tmp_path])


def test_what_macos_adds_is_passed_by(tmp_path):
    """Beside the files, in a folder of its own in archives and on foreign disks."""
    folder = 'mine/annotations'
    _write_zip(tmp_path / 'a.zip', {f'{folder}/train.jsonl': 'x', f'__MACOSX/{folder}/._train.jsonl': 'y',
                                    f'{folder}/._train.jsonl': 'y', f'__MACOSX/{folder}/train.jsonl': 'z'})
    (tmp_path / 'annotations').mkdir()
    for name in ('train.jsonl', '._train.jsonl'):
        (tmp_path / 'annotations' / name).touch()
    catalogue = Catalogue([tmp_path])
    assert catalogue.folders_with(['annotations/*.jsonl']) == [PurePosixPath(tmp_path),
                                                               PurePosixPath(tmp_path / 'a.zip/mine')]
    assert [location.member for location in catalogue.find('train.jsonl')] == [None, 'mine/annotations/train.jsonl']
    assert catalogue.find('._train.jsonl') == []


def test_folders_parted_by_backslashes(tmp_path):
    """As some Windows programs write them."""
    _write_zip(tmp_path / 'a.zip', {'mine\\': '', 'mine\\images\\a.jpg': 'x'})
    location, = Catalogue([tmp_path]).find('images/a.jpg')
    assert location.full_path == PurePosixPath(tmp_path / 'a.zip/mine/images/a.jpg') and location.read(10) == b'x'


def test_an_archive_of_endless_members(tmp_path, monkeypatch):
    monkeypatch.setattr('mmrefseg.utils.zip_archive.MAX_MEMBERS', 2)
    _write_zip(tmp_path / 'a.zip', {'a': '', 'b': ''})
    assert Catalogue([tmp_path]).find('b')
    _write_zip(tmp_path / 'b.zip', {'a': '', 'b': '', 'c': ''})
    with pytest.raises(ValueError, match='b.zip is no whole zip archive, .*it has more than 2 members'):
        Catalogue([tmp_path])


def test_what_is_unpacked_never_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr('mmrefseg.datasets.preparation.file_catalogue._PIECE', 7)
    content = bytes(range(100))
    _write_zip(tmp_path / 'a.zip', {'a': content})
    location, = Catalogue([tmp_path]).find('a')
    location.copy_to(tmp_path / 'new/b', 100)
    assert (tmp_path / 'new/b').read_bytes() == content
    assert list(map(len, location._unpack(100))) == [7] * 14 + [2]
    with pytest.raises(ValueError, match='has 100 bytes; no file of this kind has more than 99'):
        location.copy_to(tmp_path / 'new/b', 99)


def test_bombs_are_refused(tmp_path):
    _write_zip(tmp_path / 'bomb.zip', {'a.json': bytes(1_000_000)}, compression=zipfile.ZIP_DEFLATED)
    location, = Catalogue([tmp_path]).find('a.json')
    with pytest.raises(ValueError, match='a.json is refused: .* a few bytes that unpack to 1000000'):
        location.read(10_000_000)
    with pytest.raises(ValueError, match='has 1000000 bytes; no file of this kind has more than 1000'):
        location.read(1000)


def test_what_an_archive_claims_too_little_of_is_not_read(tmp_path):
    """A member that unpacks to more than it declares."""
    path = _write_zip(tmp_path / 'bomb.zip', {'a.json': bytes(range(256)) * 50}, compression=zipfile.ZIP_DEFLATED)
    declared = (12_800).to_bytes(4, 'little')
    assert path.read_bytes().count(declared) == 2
    path.write_bytes(path.read_bytes().replace(declared, (100).to_bytes(4, 'little')))
    location, = Catalogue([tmp_path]).find('a.json')
    with pytest.raises(ValueError, match='cannot be unpacked'):
        location.read(10_000)


def test_links_in_archives_are_refused(tmp_path):
    member = zipfile.ZipInfo('a.jpg')
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as archive:
        archive.writestr(member, '/etc/passwd')
    with pytest.raises(ValueError, match='it is a link'):
        Catalogue([tmp_path]).find('a.jpg')[0].read(100)


def test_damaged_archives(tmp_path):
    (tmp_path / 'x.zip').write_bytes(b'<html>')
    with pytest.raises(ValueError, match='x.zip is no whole zip archive'):
        Catalogue([tmp_path])
    path = _write_zip(tmp_path / 'x.zip', {'a.jpg': b'something'})
    path.write_bytes(path.read_bytes().replace(b'something', b'somethung'))
    with pytest.raises(ValueError, match='a.jpg cannot be unpacked'):
        Catalogue([tmp_path]).find('a.jpg')[0].read(100)


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='none is missing. Name with --src'):
        Catalogue([tmp_path / 'none'])
