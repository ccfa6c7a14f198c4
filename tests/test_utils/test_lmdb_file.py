import hashlib
import json
import os
import struct
from pathlib import Path

import lmdb
import numpy as np
import pytest
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.datasets.transforms.loading import read_image
from mmrefseg.utils import lmdb_file
from mmrefseg.utils.lmdb_file import (
    LMDBWriter,
    check_content,
    image_address,
    is_lmdb_address,
    read_image_bytes,
    read_lmdb_header,
    read_value,
)
from mmrefseg.utils.lmdb_pages import LMDBPages


@pytest.fixture
def file(tmp_path):
    writer = LMDBWriter(tmp_path / 'data.lmdb')
    writer.write([('images/a/#b.jpg', b'abc'), ('images/big', bytes(100_000)), ('other', b'')])
    writer.finish({'name': 'mine'})
    return tmp_path / 'data.lmdb'


def test_round_trip(file):
    assert os.listdir(file.parent) == ['data.lmdb']
    assert read_lmdb_header(file)['name'] == 'mine'
    assert read_value(file, 'other') == b'' and read_value(file, 'images/big') == bytes(100_000)
    assert read_value(file, 'nothing') is None and read_value(file, 'x' * 600) is None
    check_content(file)


def test_no_more_than_so_many_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_file, '_MOST_OPEN', 2)
    for name in 'abc':
        writer = LMDBWriter(tmp_path / name)
        writer.write([('key', name.encode())])
        writer.finish({})
    for name in 'abcabc':
        assert read_value(tmp_path / name, 'key') == name.encode()
        targets = [Path(os.path.realpath(path)) for path in Path('/proc/self/fd').iterdir()]
        still_open = [target.name for target in targets if target.parent == tmp_path]
        assert name in still_open and len(still_open) <= 2


def test_content_checksum_by_hand(tmp_path):
    writer = LMDBWriter(tmp_path / 'x')
    writer.write([('b', b'12'), ('a', b'3')])
    writer.finish({})
    assert read_lmdb_header(tmp_path / 'x')['content_sha256'] == hashlib.sha256(b'1 1 a31 2 b12').hexdigest()


def test_grows_without_a_thought(tmp_path):
    writer = LMDBWriter(tmp_path / 'x')
    writer._environment.set_mapsize(1 << 16)
    writer.write((f'{number:04d}', bytes(5000)) for number in range(100))
    writer.finish({})
    check_content(tmp_path / 'x')
    assert read_value(tmp_path / 'x', '0099') == bytes(5000) and read_value(tmp_path / 'x', '0100') is None


def test_what_was_written_before_a_failure_is_kept_and_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_file, '_BATCH', 3)

    def items():
        yield 'a', b'1234'
        yield 'b', b'1'
        raise KeyboardInterrupt

    writer = LMDBWriter(tmp_path / 'x')
    with pytest.raises(KeyboardInterrupt):
        writer.write(items())
    writer.close()
    LMDBWriter(tmp_path / 'x').finish({})
    assert read_value(tmp_path / 'x', 'a') == b'1234' and read_value(tmp_path / 'x', 'b') is None


def test_a_name_too_long(tmp_path):
    writer = LMDBWriter(tmp_path / 'x')
    with pytest.raises(ValueError, match='longer than the 511 bytes'):
        writer.write([('images/' + 'ä' * 300, b'')])
    writer.close()


def test_addresses(file):
    address = image_address(file, 'a/#b.jpg')
    assert address == f'lmdb://{file}#images/a/#b.jpg'
    assert is_lmdb_address(address) and not is_lmdb_address(str(file))
    assert image_address(file) + '/a/#b.jpg' == address
    assert read_image_bytes(address) == b'abc'
    with pytest.raises(FileNotFoundError, match="The image 'c.jpg' is not in"):
        read_image_bytes(image_address(file, 'c.jpg'))
    with pytest.raises(FileNotFoundError, match='--lmdb'):
        read_image_bytes(image_address(file.with_name('no.lmdb'), 'c.jpg'))


def test_images_are_decoded_as_those_of_files(tmp_path):
    root = write_refcoco(tmp_path, tiny_refcoco())
    writer = LMDBWriter(tmp_path / 'x.lmdb')
    writer.write([('images/one.jpg', (root / 'images/one.jpg').read_bytes()), ('images/bad.jpg', b'no image')])
    writer.finish({})
    np.testing.assert_array_equal(read_image(image_address(tmp_path / 'x.lmdb', 'one.jpg')),
                                  read_image(root / 'images/one.jpg'))
    with pytest.raises(ValueError, match=r'lmdb://.*#images/bad.jpg'):
        read_image(image_address(tmp_path / 'x.lmdb', 'bad.jpg'))


def _write_header(path, content, digest=None):
    with lmdb.open(str(path), subdir=False, lock=False) as environment, environment.begin(write=True) as transaction:
        transaction.put(b'header', (digest or hashlib.sha256(content).hexdigest()).encode() + b'\n' + content)


@pytest.mark.parametrize('content, digest, message', [
    (json.dumps({'format': 'mmrefseg', 'format_version': 2}).encode(), None, r"format \('mmrefseg', 2\).*prepare"),
    (json.dumps({'format': 'theirs', 'format_version': 1}).encode(), None, "'theirs'"),
    (b'{}', '0' * 64, 'does not fit its own checksum'),
    (b'[]', None, 'no JSON object'),
])
def test_wrong_headers(tmp_path, content, digest, message):
    _write_header(tmp_path / 'x', content, digest)
    with pytest.raises(ValueError, match=f'(?i){message}'):
        read_lmdb_header(tmp_path / 'x')


def test_a_file_of_somebody_else(tmp_path):
    with lmdb.open(str(tmp_path / 'x'), subdir=False, lock=False) as file, file.begin(write=True) as other:
        other.put(b'a', b'b')
    with pytest.raises(ValueError, match='no header'):
        read_lmdb_header(tmp_path / 'x')


@pytest.mark.parametrize('damage, message', [
    (lambda content: b'', 'x is damaged, or no LMDB file'),
    (lambda content: b'no LMDB' * 1000, 'x is damaged, or no LMDB file'),
    (lambda content: content[:8000], 'x is damaged, or no LMDB file'),
    (lambda content: content[:-4096], 'cut off'),
])
def test_damaged_files(tmp_path, file, damage, message):
    (tmp_path / 'x').write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read_value(tmp_path / 'x', 'other')


def test_a_changed_byte_is_found(tmp_path, file):
    content = file.read_bytes()
    assert b'images/a/#b.jpgabc' in content
    (tmp_path / 'x').write_bytes(content.replace(b'images/a/#b.jpgabc', b'images/a/#b.jpgabd'))
    assert read_lmdb_header(tmp_path / 'x')['name'] == 'mine'
    with pytest.raises(ValueError, match='does not fit its checksum'):
        check_content(tmp_path / 'x')


def test_one_file_under_several_names(file, monkeypatch):
    (file.parent / 'link').symlink_to(file)
    monkeypatch.chdir(file.parent)
    for name in (file, 'data.lmdb', 'link', './link'):
        assert read_value(name, 'images/a/#b.jpg') == b'abc'


def test_a_replaced_file_is_opened_anew(tmp_path, file):
    assert read_lmdb_header(file)['name'] == 'mine'
    writer = LMDBWriter(tmp_path / 'other')
    writer.finish({'name': 'other'})
    (tmp_path / 'other').replace(file)
    assert read_lmdb_header(file)['name'] == 'other'
    file.unlink()
    with pytest.raises(FileNotFoundError):
        read_lmdb_header(file)


def test_a_page_whose_elements_are_all_one_large_value(tmp_path):
    """Reading them all would take a thousand times as long as the file has bytes."""
    size, number, pages = 4096, 1000, 12
    header, meta = struct.Struct('<QHHHH'), struct.Struct('<II16xI44x4xHH32xQQQ')
    content = bytearray()
    for page in range(2):
        content += (header.pack(page, 0, 8, 0, 0) + meta.pack(0xBEEFC0DE, 1, size, 0, 1, 2, pages - 1, page + 1)
                    ).ljust(size, b'\0')
    large = (pages - 3) * size - 16
    leaf = bytearray(header.pack(2, 0, 2, 16 + 2 * number, 0).ljust(size, b'\0'))
    leaf[16:16 + 2 * number] = struct.pack(f'<{number}H', *[4000] * number)
    leaf[4000:4017] = struct.pack('<HHHHcQ', large & 0xffff, large >> 16, 1, 1, b'k', 3)
    content += leaf + header.pack(3, 0, 4, pages - 3, 0).ljust((pages - 3) * size, b'\0')
    (tmp_path / 'x').write_bytes(content)
    read = []
    with (tmp_path / 'x').open('rb') as file, pytest.raises(ValueError, match='more than there can be'):
        read.extend(key for key, _ in LMDBPages(file).items())
    assert len(read) <= 2


def test_a_page_whose_nodes_are_all_one(tmp_path):
    """Reading them all would take a thousand times as long as the file has bytes."""
    size, number = 4096, 1000
    header, meta = struct.Struct('<QHHHH'), struct.Struct('<II16xI44x4xHH32xQQQ')
    content = b''.join((header.pack(page, 0, 8, 0, 0) + meta.pack(0xBEEFC0DE, 1, size, 0, 1, 2, 2, page + 1)
                        ).ljust(size, b'\0') for page in range(2))
    leaf = bytearray(header.pack(2, 0, 2, 16 + 2 * number, 0).ljust(size, b'\0'))
    leaf[16:16 + 2 * number] = struct.pack(f'<{number}H', *[2100] * number)
    leaf[2100:2109] = struct.pack('<HHHHc', 1900, 0, 0, 1, b'k')
    (tmp_path / 'x').write_bytes(content + leaf)
    read = []
    with (tmp_path / 'x').open('rb') as file, pytest.raises(ValueError, match='met more than once'):
        read.extend(key for key, _ in LMDBPages(file).items())
    assert len(read) <= 2


def test_a_value_that_no_image_has(file, monkeypatch):
    """Of a file with holes it may be gigabytes, which take no room on the disk, but in memory."""
    monkeypatch.setattr(lmdb_file, 'MAX_IMAGE_BYTES', 99_999)
    assert read_image_bytes(image_address(file, 'a/#b.jpg')) == b'abc'
    with pytest.raises(ValueError, match=r'damaged.*a value has 100000 bytes, more than there can be'):
        read_image_bytes(image_address(file, 'big'))
