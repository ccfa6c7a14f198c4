import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmrefseg.errors import InputError
from mmrefseg.utils.safe_names import refuse_links_out, relative_name, split_name

# Of what leads somewhere else, or nowhere.
PIECES = ('..', '.', '/', '\\', '//', 'C:', 'c:\\', '\0', '\n', 'a', 'ä', '日', ' ', '~', '-', '\ud800', '...', 'con',
          'x' * 250, '$HOME', '*', '%2e%2e', '..;', 'lmdb://', 'a/b')
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=6).map(''.join)


@given(HOSTILE)
@example('/etc/passwd')
@example('a/../../b')
@example('')
@example('.')
@example('./')
def test_a_name_that_passes_stays_below_its_folder(name):
    try:
        checked = relative_name(name, 'x')
    except InputError as error:
        assert str(error).startswith('x ')
        return
    path = os.path.normpath(os.path.join('/top/folder', checked))
    assert path == f'/top/folder/{checked}' and '\0' not in path and '\\' not in path
    assert relative_name(checked, 'x') == checked
    assert os.fsencode(checked).decode() == checked
    assert all(len(os.fsencode(part)) <= 255 for part in checked.split('/'))


@given(HOSTILE)
def test_files_can_be_called_after_a_split_that_passes(name):
    try:
        split_name(name, 'x')
    except InputError:
        return
    assert Path('/top', f'{name}.finished.json').parent == Path('/top')
    assert not name.startswith('.') and len(os.fsencode(f'.{name}.12345678.unfinished')) < 255


@pytest.mark.parametrize('name, same', [
    ('a.jpg', 'a.jpg'), ('./a//b.jpg', 'a/b.jpg'), ('..a/b..c/...', '..a/b..c/...'), ('a b/ä日.jpg', 'a b/ä日.jpg'),
    ('10:30.jpg', '10:30.jpg'), ('aux/con.png', 'aux/con.png'), ('x' * 255, 'x' * 255)])
def test_what_people_call_their_files(name, same):
    assert relative_name(name, 'x') == same


@pytest.mark.parametrize('name, message', [
    ('../a', "must be a path below its folder, with '/' between folders and without '..', got '../a'"),
    ('a/..', 'must be a path below'), ('/a', 'must be a path below'), ('a\\b', 'must be a path below'),
    ('C:a', 'must be a path below'), ('', 'must be the name of a file'), ('./.', 'must be the name of a file'),
    ('a\0', 'must be the name of a file, without control characters'), ('a\nb', 'must be the name'),
    ('\ud800', 'must be the name'),
    ('ä' * 128, 'is too long for a path: at most 255 bytes'), ('a/' * 512 + 'b', 'is too long')])
def test_what_is_refused(name, message):
    with pytest.raises(InputError) as caught:
        relative_name(name, 'f.json: file_name')
    assert str(caught.value).startswith(f'f.json: file_name {message}')


def test_splits():
    for name in ('train', 'val_miniv', 'testA', 'mein Teil', 'v1.2'):
        assert split_name(name, 'x') == name
    for name in ('a/b', '.hidden', 'nul', 'COM1.x', 'x' * 101, './a', 'a/'):
        with pytest.raises(InputError, match="^x must be a split's name"):
            split_name(name, 'x')


def test_links(tmp_path):
    (tmp_path / 'disk/images').mkdir(parents=True)
    (tmp_path / 'disk/images/a').touch()
    (tmp_path / 'disk/images/within').symlink_to('a')
    (tmp_path / 'disk/images/out').symlink_to('/etc/passwd')
    (tmp_path / 'disk/images/up').symlink_to('..')
    (tmp_path / 'images').symlink_to(tmp_path / 'disk/images')
    for name in ('a', 'within'):
        refuse_links_out(f'{tmp_path}/images/{name}', f'{tmp_path}/images')
    for name in ('out', 'up/images2'):
        with pytest.raises(InputError, match='is a link to .*, outside of .*Copy the file there, or not$'):
            refuse_links_out(f'{tmp_path}/images/{name}', f'{tmp_path}/images', ', or not')
