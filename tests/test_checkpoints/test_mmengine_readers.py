"""Every way by which mmengine reads a checkpoint."""
import io
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import mmengine.fileio
import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmrefseg.checkpoints import mmengine_readers
from mmrefseg.errors import FileError, InputError

# Each scheme that mmengine has, and an address of it.
ADDRESSES = {
    '': 'a.pth',
    'http://': 'http://example.org/a.pth',
    'https://': 'https://example.org/a.pth',
    'modelzoo://': 'modelzoo://resnet18',
    'torchvision://': 'torchvision://resnet18',
    'mmcls://': 'mmcls://vgg11',
    'open-mmlab://': 'open-mmlab://resnet50_v1c',
    'openmmlab://': 'openmmlab://resnet50_v1c',
    r'(\S+\:)?s3://': 'cluster:s3://bucket/a.pth',
    r'(\S+\:)?petrel://': 'petrel://bucket/a.pth',
}


class Trap:
    """Leaves a file behind if it is ever unpickled by a careless reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path, )


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serves the same file at every address; returns the function that says what is in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    content = io.BytesIO()

    def download(url, path, progress):
        Path(path).write_bytes(content.getvalue())

    def serve(value):
        torch.save(value, content)
        Path('a.pth').write_bytes(content.getvalue())

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    monkeypatch.setattr(mmengine.fileio, 'get', lambda path, backend_args: content.getvalue())
    return serve


def test_every_scheme_is_known():
    assert CheckpointLoader._schemes.keys() == {*ADDRESSES, 'pavi://'}


@pytest.mark.parametrize('address', ADDRESSES.values())
def test_weights_come_and_traps_do_not_spring(tmp_path, served, address):
    served({'state_dict': {'backbone.weight': torch.ones(2)}})
    weights = CheckpointLoader.load_checkpoint(address, map_location='cpu')['state_dict']
    assert [value.tolist() for value in weights.values()] == [[1, 1]]
    for file in tmp_path.rglob('*.pth'):
        file.unlink()
    served({'trap': Trap(tmp_path / 'sprung')})
    with pytest.raises(InputError, match=r'\.pth holds pathlib\S*, which'):
        CheckpointLoader.load_checkpoint(address)
    assert not (tmp_path / 'sprung').exists()


def test_short_names_of_files_at_home(tmp_path, served, monkeypatch):
    monkeypatch.setattr(mmengine_checkpoint, 'get_external_models', lambda: {'mine': 'a.pth'})
    served({'trap': Trap(tmp_path / 'sprung')})
    with pytest.raises(InputError, match=r'a\.pth holds pathlib'):
        CheckpointLoader.load_checkpoint('openmmlab://mine')
    assert not (tmp_path / 'sprung').exists()
    with pytest.raises(InputError, match='no weights named openmmlab://yours'):
        CheckpointLoader.load_checkpoint('openmmlab://yours')


def test_a_service_that_has_ended():
    with pytest.raises(InputError, match=r'pavi://a\.pth cannot be read'):
        CheckpointLoader.load_checkpoint('pavi://a.pth')


def test_a_folder_for_downloads_that_cannot_be_made(tmp_path, served):
    (tmp_path / 'checkpoints').touch()
    with pytest.raises(FileError, match=r'cannot be downloaded to \S+/checkpoints/a\.pth'):
        CheckpointLoader.load_checkpoint('https://example.org/a.pth')


def test_readers_are_replaced_by_a_call_alone(monkeypatch):
    before = dict(CheckpointLoader._schemes), mmengine_checkpoint.load_url
    spec = spec_from_file_location('mmrefseg.checkpoints.again', mmengine_readers.__file__)
    again = module_from_spec(spec)
    spec.loader.exec_module(again)
    assert (dict(CheckpointLoader._schemes), mmengine_checkpoint.load_url) == before
    monkeypatch.setattr(CheckpointLoader, '_schemes', {})
    monkeypatch.setattr(mmengine_checkpoint, 'load_url', None)
    again.install_readers()
    assert mmengine_checkpoint.load_url is again.load_url
    assert {name: reader.__name__ for name, reader in CheckpointLoader._schemes.items()} == {
        name: reader.__name__ for name, reader in before[0].items() if reader.__module__.startswith('mmrefseg.')}
    assert len(CheckpointLoader._schemes) == 6
