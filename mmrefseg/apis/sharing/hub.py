"""The Hugging Face hub: shared models go there and come from there."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.optional_packages import need_extra

from .model_folder import FILES, is_model_folder, refuse_foreign_folder

HUB = 'hf:'
"""What names on the hub begin with, as in ``hf:owner/name`` or ``hf:owner/name@revision``."""


def pull(name: str, folder: str | Path | None = None) -> str:
    """Get a shared model; only its three files, none of which runs.

    Args:
        name: ``'hf:owner/name'``, with ``@revision`` where it isn't the newest.
        folder: where to put it. Default None, the hub's own cache, which is used again.

    Returns:
        The folder.

    Raises:
        MissingPackageError: huggingface_hub isn't installed.
        FileError: it cannot be downloaded, or the folder holds files of the same names that are not of a shared model.
        InputError: the repository holds no model of mmrefseg.
    """
    need_extra('hub', 'huggingface_hub')
    import huggingface_hub
    repository, _, revision = name.removeprefix(HUB).partition('@')
    if folder is not None:
        refuse_foreign_folder(folder)
    with _explained(name):
        found = huggingface_hub.snapshot_download(repository, revision=revision or None, local_dir=folder,
                                                  allow_patterns=list(FILES))
    if not is_model_folder(found):
        raise InputError(f'{name} holds no model of mmrefseg; expected were {", ".join(FILES)}, as mmrefseg push '
                         'writes them')
    return str(found)


def push(folder: str | Path, name: str, private: bool = False) -> str:
    """Put a shared model onto the hub.

    Args:
        folder: as :func:`~.model_folder.write_model_folder` writes it.
        name: ``'hf:owner/name'``; made if it isn't there.
        private: whether a new one is seen by its owner only. Default False.

    Returns:
        Its address.

    Raises:
        MissingPackageError: huggingface_hub isn't installed.
        FileError: it cannot be uploaded.
    """
    need_extra('hub', 'huggingface_hub')
    import huggingface_hub
    repository, hub = name.removeprefix(HUB), huggingface_hub.HfApi()
    with _explained(name):
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(FILES),
                          commit_message='Model of mmrefseg')
    return str(address)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    from huggingface_hub import errors
    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(f'{name} is no name on the hub ({error}); write hf:owner/name') from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise FileError(f'{name}: {error}\nCheck the name and the connection; a private model, and an upload, need a '
                        'token (hf auth login)') from error
