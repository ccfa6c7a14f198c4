import io
import struct
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.datasets.preparation.file_catalogue import Catalogue
from mmrefseg.errors import InputError
from mmrefseg.utils import zip_archive
from mmrefseg.utils.zip_archive import open_archive


def written(members, zip64=False, comment=b''):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for name, content in members:
            with archive.open(name, 'w', force_zip64=zip64) as member:
                member.write(content)
        archive.comment = comment
    return file.getvalue()


def with_directory(entries, before=b'', number=None, zip64=False):
    """An archive whose directory says what it likes: name, size and place of each member."""
    directory = b''.join(struct.pack('<4s4B4HL2L5H2L', b'PK\1\2', 20, 3, 20, 0, 0, 0, 0, 0, 0, size, size, len(name), 0,
                                     0, 0, 0, 0, offset) + name for name, size, offset in entries)
    number = len(entries) if number is None else number
    end = struct.pack('<4s4H2LH', b'PK\5\6', 0, 0, min(number, 0xffff), min(number, 0xffff), len(directory),
                      len(before), 0)
    if zip64:
        place = len(before) + len(directory)
        end = (struct.pack('<4sQ2H2L4Q', b'PK\6\6', 44, 45, 45, 0, 0, number, number, len(directory), len(before))
               + struct.pack('<4sLQL', b'PK\6\7', 0, place, 1)
               + struct.pack('<4s4H2LH', b'PK\5\6', 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0))
    return before + directory + end


@settings(max_examples=25)
@given(st.dictionaries(st.text('abc/ä', min_size=1), st.binary(max_size=50)), st.booleans(), st.binary(max_size=30),
       st.binary(max_size=30))
def test_whole_archives_are_opened(members, zip64, comment, before):
    """Also with 64-bit sizes, a comment, and behind something else, as self-extracting ones are."""
    with open_archive(io.BytesIO(before + written(members.items(), zip64, comment))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members


def test_a_directory_in_another_order():
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for name in 'abc':
            archive.writestr(name, name * 9)
        archive.filelist.reverse()
    with open_archive(file) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [b'c' * 9, b'b' * 9, b'a' * 9]


HEADER = struct.pack('<4s5H3L2H', b'PK\3\4', 20, 0, 0, 0, 0, 0, 100, 100, 1, 0) + b'a'
HOSTILE = {
    'one place for all': with_directory([(b'a', 100, 0), (b'b', 100, 0)], HEADER + bytes(100)),
    'one in the other': with_directory([(b'a', 100, 0), (b'b', 50, 40)], HEADER + bytes(100)),
    'behind the directory': with_directory([(b'a', 5000, 0)], HEADER + bytes(100)),
    'two of one name': with_directory([(b'a', 100, 0), (b'a', 9, 140)], HEADER + bytes(140)),
    'more than declared': with_directory([(b'', 0, 31 * place) for place in range(40)], bytes(2000), number=1),
    'more than declared, in 64 bits': with_directory([(b'', 0, 31 * place) for place in range(40)], bytes(2000), 1,
                                                     zip64=True),
    'a directory of another kind': with_directory([(b'a', 0, 0)], HEADER).replace(b'PK\1\2', b'PK\1\3'),
    'a directory that goes on': with_directory([(b'a' * 60, 0, 0)], HEADER).replace(b'\x3c\0\0\0', b'\x3d\0\0\0'),
}
SAID = ['overlaps another', 'overlaps another', 'overlap its directory', 'of the same name', 'more than 30 members',
        'more than 30 members', 'directory is damaged', 'directory is damaged']


@pytest.mark.parametrize(('kind', 'message'), list(zip(HOSTILE, SAID, strict=True)))
def test_hostile_archives(tmp_path, monkeypatch, kind, message):
    """Refused wherever archives are opened, and before an object is made of each member."""
    monkeypatch.setattr(zip_archive, 'MAX_MEMBERS', 30)
    if 'more' in message:
        monkeypatch.setattr(zipfile, 'ZipFile', None)
    with pytest.raises(zipfile.BadZipFile, match=message):
        open_archive(io.BytesIO(HOSTILE[kind]))
    (tmp_path / 'a.zip').write_bytes(HOSTILE[kind])
    (tmp_path / 'a.pth').write_bytes(b'PK\3\4' + bytes(26) + HOSTILE[kind])
    with pytest.raises(InputError, match=rf'a.zip is no whole zip archive.*{message}'):
        Catalogue([tmp_path])
    with pytest.raises(InputError, match='a.pth is'):
        load_from_local(tmp_path / 'a.pth')


def test_a_directory_of_endless_names(monkeypatch):
    monkeypatch.setattr(zip_archive, 'MAX_DIRECTORY', 100)
    with pytest.raises(zipfile.BadZipFile, match='does not fit, or is longer than 100'):
        open_archive(io.BytesIO(written([('a' * 99, b'')])))


def test_a_checkpoint_whose_tensors_share_bytes(tmp_path):
    """Of a small file every storage could be the same 10 MB."""
    torch.save({'a': torch.zeros(100), 'b': torch.ones(100)}, tmp_path / 'a.pth')
    content = (tmp_path / 'a.pth').read_bytes()
    with zipfile.ZipFile(tmp_path / 'a.pth') as archive:
        first, second = (archive.getinfo(f'a/data/{key}') for key in '01')
    entry = content.index(b'PK\1\2', content.rindex(first.filename.encode()))
    place = struct.pack('<L', second.header_offset)
    assert content[entry + 42:].startswith(place)
    (tmp_path / 'b.pth').write_bytes(content[:entry + 42] + struct.pack('<L', first.header_offset)
                                     + content[entry + 46:])
    load_from_local(tmp_path / 'a.pth')
    with pytest.raises(InputError, match=r"b.pth is damaged, as its archive shows: its member 'a/data/\d' overlaps"):
        load_from_local(tmp_path / 'b.pth')
