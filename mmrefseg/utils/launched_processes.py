"""The processes of one run: they end with their launcher, say things once, and leave in order."""
from __future__ import annotations

import gc
import hashlib
import os
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from mmrefseg.errors import InputError

from .worker_processes import die_with, forks_die_with_parent, is_running

if TYPE_CHECKING:
    import torch.distributed as dist  # in functions below, as many commands start without PyTorch

_RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


def launchers_number(name: str, default: int = 0) -> int:
    """A whole number that a launcher told its processes.

    Args:
        name: of the environment variable, such as ``'RANK'``.
        default: what holds where there is none. Default 0.

    Raises:
        InputError: the variable holds something else.
    """
    text = os.environ.get(name, str(default))
    if not re.fullmatch('[0-9]{1,9}', text):
        raise InputError(f'the environment variable {name} is {text[:80]!r}; it must be a whole number, as launchers '
                         'set it. Without a launcher, remove it')
    return int(text)


def tie_to_launcher(launcher: str) -> None:
    """Let this process end with torchrun, which started it, and its data loaders' workers with this process, on Linux.

    Args:
        launcher: how it was started. Slurm and MPI end their processes themselves, and without a launcher nobody else
            does.
    """
    forks_die_with_parent()
    if launcher == 'pytorch' and 'TORCHELASTIC_RUN_ID' in os.environ:
        die_with(os.getppid())
        # The parent may be the one that took over from a launcher that died before; tools/dist_*.sh say who that was.
        launcher_id = launchers_number('MMREFSEG_LAUNCHER')
        if launcher_id and sys.platform == 'linux' and not is_running(launcher_id):
            sys.exit(1)


def is_first_process(launcher: str) -> bool:
    """Whether this is the process of rank 0, also before the process group is there.

    Args:
        launcher: how the processes were started, one of ``LAUNCHERS``.
    """
    return launchers_number(_RANKS.get(launcher, '')) == 0


def leave_process_group() -> None:
    """Wait until all processes have written their last files, and leave the process group.

    Its threads may hold tensors of the last gradients. Were they to release them when Python is about to end, the
    process would be aborted, and torchrun would kill the others.
    """
    import torch.distributed as dist

    if not dist.is_initialized():
        return
    dist.barrier()
    gc.collect()  # a wrapped model in a cycle of references keeps the group's threads
    dist.destroy_process_group()


def is_first_to_tell(message: str) -> bool:
    """Whether no other process of this run has told a message. Under torchrun its store knows; else each tells.

    Args:
        message: the message.
    """
    store = _torchruns_store()
    if store is None:
        return True
    digest = hashlib.sha256(message.encode()).hexdigest()
    store.add(_told(), 1)
    return store.add(_told(digest), 1) == 1


def has_any_told() -> bool:
    """Whether a process of this run has told a message, so that the others' troubles may come from its end."""
    store = _torchruns_store()
    return store is not None and store.add(_told(), 0) > 0


def _told(message: str = 'any') -> str:
    return f'mmrefseg/told/{os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)}/{message}'


def _torchruns_store() -> dist.Store | None:
    if os.environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True':
        return None
    import torch.distributed as dist

    try:
        return dist.TCPStore(os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']), is_master=False,
                             timeout=timedelta(seconds=2))
    except dist.DistError:
        return None  # torchrun has ended
