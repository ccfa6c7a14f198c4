"""Running a test's function in several processes."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _enter(rank: int, source: str, name: str, world_size: int, rendezvous: str, args: tuple) -> None:
    torch.set_num_threads(1)
    spec = spec_from_file_location('function_under_test', source)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=world_size)
    try:
        getattr(module, name)(*args)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def run_distributed(function: Callable, folder: Path, *args: Any, world_size: int = 2) -> None:
    """Call ``function(*args)`` in each of several processes, joined in a gloo process group.

    They are forks of a server that has imported all, but has run nothing: a fork of a process that has run a backward
    pass on several threads can run none, and to import all takes seconds.

    Args:
        function: at the top level of its module; that module is read from its file, so it need not be importable.
        folder: an empty folder of this test's own, where the processes find each other.
        *args: picklable arguments.
        world_size: number of processes. Default 2.

    Raises:
        torch.multiprocessing.ProcessRaisedException: the function raised in a process; holds the traceback.
    """
    source = inspect.getsourcefile(function)
    mp.start_processes(_enter, (source, function.__name__, world_size, str(folder / 'rendezvous'), args),
                       nprocs=world_size, start_method='forkserver')
