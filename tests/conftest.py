import logging
import multiprocessing
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import settings
from mmengine.logging import MMLogger

# The same examples on every run, and no file of those that failed.
settings.register_profile('mmrefseg', max_examples=50, derandomize=True, deadline=None, database=None)
settings.load_profile('mmrefseg')

# Processes of the method 'forkserver' are forks of one that has imported this; mmengine logs what the latter tells.
multiprocessing.set_forkserver_preload(['mmrefseg.apis', 'torch.utils.cpp_extension'])


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope='session', autouse=True)
def forks_can_train():
    # The first backward pass decides on autograd's threads. After an export to ONNX, PyTorch counts a device more than
    # the CPU, starts threads for it, and no fork of this process can run a backward pass.
    torch.ones(1, requires_grad=True).sum().backward()


@pytest.fixture(scope='session', autouse=True)
def ctrl_c():
    # Shells start what runs in the background with interruptions ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='module', autouse=True)
def log_files_are_closed():
    # mmengine keeps the logger of each run, and its file, as long as the process lives.
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in [*logger.handlers]:
            if isinstance(handler, logging.FileHandler):
                logger.removeHandler(handler)
                handler.close()


@pytest.fixture(scope='session')
def golden_folder() -> Path:
    return Path(__file__).parent / 'data/golden'


@pytest.fixture
def torchruns_store(monkeypatch) -> dist.Store:
    """What torchrun has for its processes, this one being one of them."""
    store = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv('TORCHELASTIC_USE_AGENT_STORE', 'True')
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setenv('MASTER_PORT', str(store.port))
    return store
