import runpy
from pathlib import Path

import pytest
import torch

from mmrefseg.errors import FileError
from mmrefseg.utils.file_download import RemoteFile

TOOL = Path(__file__).parents[2] / 'tools/download_weights.py'
DINOV2 = 'pretrained/dinov2_vitb14_reg4_pretrain.pth'
CLIP = 'pretrained/vit_base_patch16_clip_224.openai/open_clip_model.safetensors'
ADDRESS = 'https://example.org/swin_tiny-66df6be6.pth'


@pytest.fixture
def main(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(TOOL))['main']


@pytest.fixture
def run(main, monkeypatch, capsys):
    """Run the tool; returns its exit status, or message, and the lines that it prints."""

    def run(*arguments):
        monkeypatch.setattr('sys.argv', ['download_weights.py', *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def serve(main, monkeypatch):
    """Let a server say something of every file, or fail."""

    def serve(said):

        def remote_file(address):
            if isinstance(said, Exception):
                raise said
            return said

        monkeypatch.setitem(main.__globals__, 'remote_file', remote_file)
        monkeypatch.setitem(main.__globals__, 'download', lambda address, path, sha256: Path(path).write_bytes(b'new'))

    return serve


@pytest.fixture
def write_config(tmp_path):
    """Write a config with one pretrained file; returns its path."""

    def write(file):
        path = tmp_path / 'config.py'
        path.write_text(f'model = dict(init_cfg=dict(type="Pretrained", checkpoint={file!r}))')
        return str(path)

    return write


def test_lists_what_is_needed_once(run, serve, tmp_path):
    serve(FileError('asked'))
    (tmp_path / DINOV2).parent.mkdir()
    (tmp_path / DINOV2).touch()
    code, (text, vision) = run('--list', 'sera_dinov2_refcoco', 'sera_dinov2_refcoco-plus')
    assert not code
    assert vision.startswith(f'{DINOV2} is there; from https://dl.fbaipublicfiles')
    assert text.startswith(f'{CLIP} is missing; from')


def test_downloads_what_is_missing(run, serve, write_config, tmp_path):
    serve(RemoteFile(3, None))
    code, lines = run(write_config(DINOV2))
    assert not code and lines[0].startswith(f'{DINOV2} is there')
    assert (tmp_path / DINOV2).read_bytes() == b'new'


@pytest.mark.parametrize(('said', 'message'), [
    (RemoteFile(4, None), f'download_weights: {DINOV2} is not the published file: it has 3 bytes instead of 4. Remove'),
    (RemoteFile(3, 64 * '0'), f'download_weights: {DINOV2} is not the published file: its SHA-256 is'),
    (RemoteFile(3, None), None),
    (RemoteFile(None, None), None),
])
def test_a_file_that_is_there_is_checked(run, serve, write_config, tmp_path, said, message):
    serve(said)
    (tmp_path / DINOV2).parent.mkdir()
    (tmp_path / DINOV2).write_bytes(b'old')
    code, lines = run(write_config(DINOV2))
    assert code.startswith(message) and not lines if message else not code and 'is there; from' in lines[0]
    assert (tmp_path / DINOV2).read_bytes() == b'old'


def test_what_cannot_be_checked_is_said(run, serve, write_config, tmp_path):
    serve(FileError('no network'))
    (tmp_path / DINOV2).parent.mkdir()
    (tmp_path / DINOV2).touch()
    code, lines = run(write_config(DINOV2))
    assert not code
    assert lines[0].endswith('; not verified, as the server could not be asked: no network')


def test_without_a_network_the_addresses_are_told(run, serve):
    serve(FileError('no network'))
    code, lines = run('sera_dinov2_refcoco')
    error, text, vision = code.splitlines()
    assert error == 'download_weights: no network' and not lines
    assert text.startswith(f'{CLIP} is missing; from https://huggingface.co/timm')
    assert vision.startswith(f'{DINOV2} is missing; from https://dl.fbaipublicfiles')


def test_a_file_of_unknown_origin(run, serve, write_config):
    serve(FileError('asked'))
    code, lines = run(write_config('pretrained/mine.pth'))
    assert code == 1, 'it is still missing'
    assert lines == ['pretrained/mine.pth is missing; from a place that mmrefseg does not know']


@pytest.mark.parametrize('file', [ADDRESS, 'https://example.org/dinov2_vitb14_pretrain.pth'])
def test_addresses_are_left_to_training(run, serve, write_config, monkeypatch, tmp_path, file):
    serve(FileError('asked'))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: 'hub')
    place = f'hub/checkpoints/{Path(file).name}'
    code, lines = run(write_config(file))
    assert not code and lines == [f'{file} is downloaded by training, to {place}']
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    assert run(write_config(file))[1] == [f'{file} is there, in {place}']


@pytest.mark.parametrize('name', ['openai', 'torchvision://resnet50'])
def test_names_are_left_to_training(run, serve, write_config, name):
    serve(FileError('asked'))
    code, lines = run(write_config(name))
    assert not code and lines == [f'{name} is downloaded by training']


def test_a_folder_that_cannot_be(run, serve, write_config, tmp_path):
    serve(FileError('asked'))
    (tmp_path / 'pretrained').touch()
    code, _ = run(write_config(DINOV2))
    assert 'cannot write pretrained' in code.splitlines()[0] and f'{DINOV2} is missing; from' in code


def test_unknown_config(run):
    assert run('no-such-config')[0].startswith('download_weights: ')


def test_a_config_without_a_model(run, tmp_path):
    (tmp_path / 'data.py').write_text("data_root = 'data'")
    assert 'has no model' in run(str(tmp_path / 'data.py'))[0]


def test_no_weights(run, tmp_path):
    (tmp_path / 'config.py').write_text('model = dict(init_cfg=None)')
    code, lines = run(str(tmp_path / 'config.py'))
    assert not code and lines == ['no pretrained weights are needed']
