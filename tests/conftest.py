import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The same examples on every run, and no file of those that failed.
settings.register_profile('mmrefseg', max_examples=50, derandomize=True, deadline=None, database=None)
settings.load_profile('mmrefseg')


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope='session', autouse=True)
def ctrl_c():
    # Shells start what runs in the background with interruptions ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def golden_folder() -> Path:
    return Path(__file__).parent / 'data/golden'
