"""Where mmengine's own readers of checkpoints are replaced.

What is imported of its runner is imported in functions: the runner's import ends with replacing them.
"""
from __future__ import annotations

import tempfile
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import mmengine.fileio
import torch

from mmrefseg.errors import FileError, InputError

from .reading import MapLocation, load_from_local


def downloaded_path(url: str, folder: str | Path | None = None) -> Path:
    """Where a downloaded file is kept.

    Args:
        url: the file's address.
        folder: where downloads go. Default None: PyTorch's own folder, which ``TORCH_HOME`` moves.
    """
    return Path(folder or Path(torch.hub.get_dir(), 'checkpoints'), Path(urlparse(url).path).name)


def load_url(url: str,
             model_dir: str | None = None,
             map_location: MapLocation = None,
             progress: bool = True) -> dict:
    """Download a checkpoint, unless it was before, and read it by :func:`load_from_local`.

    Stands for PyTorch's function of this name, which unpickles anything.

    Args:
        url: address; the last part of its path becomes the file's name.
        model_dir: folder for the file. Default None: PyTorch's hub folder.
        map_location: see :func:`load_from_local`. Default None.
        progress: show a bar. Default True.

    Returns:
        The dict in the file.

    Raises:
        FileError: the download failed; says where the file is looked for.
        InputError: see :func:`load_from_local`.
    """
    path = downloaded_path(url, model_dir)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        except (OSError, HTTPException) as error:
            raise FileError(f'{url} cannot be downloaded to {path} ({error}); put the file there yourself') from error
    return load_from_local(str(path), map_location)


def load_from_openmmlab(filename: str, map_location: MapLocation = None) -> dict:
    """Read a checkpoint that mmengine has a short name for, such as ``open-mmlab://resnet50_v1c``.

    Args:
        filename: the name, with what stands before ``://``.
        map_location: see :func:`load_from_local`. Default None.

    Raises:
        InputError: mmengine has no such name, or see :func:`load_from_local`.
        FileError: see :func:`load_url`.
    """
    import mmengine.runner.checkpoint as mmengine_checkpoint

    name = filename.partition('://')[2]
    models = mmengine_checkpoint.get_external_models()
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    if name not in models:
        raise InputError(f'mmengine knows no weights named {filename}')
    if models[name].startswith(('http://', 'https://')):
        return mmengine_checkpoint.load_from_http(models[name], map_location)
    return load_from_local(str(Path(mmengine_checkpoint._get_mmengine_home(), models[name])), map_location)


def load_from_ceph(filename: str, map_location: MapLocation = None) -> dict:
    """Read a checkpoint from a server that mmengine's ``petrel`` backend reaches, such as ``s3://bucket/a.pth``.

    Args:
        filename: the address.
        map_location: see :func:`load_from_local`. Default None.

    Raises:
        InputError: see :func:`load_from_local`.
    """
    content = mmengine.fileio.get(filename, backend_args={'backend': 'petrel'})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(filename).name)
        path.write_bytes(content)
        return load_from_local(str(path), map_location)


def load_from_pavi(filename: str, map_location: MapLocation = None) -> dict:
    """Refuse a checkpoint of a service that has ended.

    Args:
        filename: the address.
        map_location: unused; mmengine's signature. Default None.

    Raises:
        InputError: always.
    """
    raise InputError(f'{filename} cannot be read: download the file, and give its path')


def install_readers() -> None:
    """Let mmengine read every checkpoint as data only, wherever it comes from.

    After ``import mmrefseg`` the import of mmengine's runner calls this. From then on ``CheckpointLoader``, and with it
    ``Runner``, ``load_checkpoint`` and ``init_cfg=dict(type='Pretrained', ...)`` of every OpenMMLab package in the
    process, read files by :func:`.reading.load_from_local`; mmengine's own readers, or those of a fork, may unpickle
    anything.
    """
    import mmengine.runner.checkpoint as mmengine_checkpoint

    register = mmengine_checkpoint.CheckpointLoader.register_scheme
    register('', load_from_local, force=True)
    register(['open-mmlab://', 'openmmlab://'], load_from_openmmlab, force=True)
    register([r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], load_from_ceph, force=True)
    register('pavi://', load_from_pavi, force=True)
    # By this one http://, https://, modelzoo://, torchvision:// and mmcls:// read, after they found the address.
    mmengine_checkpoint.load_url = load_url
