import io
import random

import numpy as np
import pytest
import torch

from mmrefseg.errors import InputError
from mmrefseg.utils.random_state import get_state, set_state


def draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.randn(3).tolist()


def as_read(state):
    """What comes back from a file that is read as data alone, without any class allowed beside PyTorch's own."""
    file = io.BytesIO()
    torch.save(state, file)
    with torch.serialization.safe_globals([]):
        return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def test_generators_go_on_from_a_state_that_was_read():
    draw()  # each keeps half of what it drew for the next normal number
    state = as_read(get_state())
    expected = draw()
    assert draw() != expected
    set_state(state)
    assert draw() == expected


@pytest.mark.parametrize('change', [
    lambda state: state.clear(),
    lambda state: state.update(python=(3, (1, 2), None)),
    lambda state: state.update(python='state'),
    lambda state: state.update(numpy=(torch.zeros(624, dtype=torch.int64), 10**6, 0, 0.0)),
    lambda state: state.update(numpy=(torch.zeros(624, dtype=torch.int64), -1, 0, 0.0)),
    lambda state: state.update(numpy=(torch.zeros(9, dtype=torch.int64), 1, 0, 0.0)),
    lambda state: state.update(numpy=([0] * 624, 1, 0, 0.0)),
    lambda state: state.update(numpy=None),
    lambda state: state.update(torch=torch.zeros(5056, dtype=torch.uint8)),
    lambda state: state.update(torch=torch.zeros(5, dtype=torch.uint8)),
    lambda state: state.update(torch=[1]),
    # Words left and the place of the next one, which together lead out of the generator's memory.
    lambda state: state['torch'][8:24].copy_(torch.tensor([600, 1, 624, 0], dtype=torch.int32).view(torch.uint8)),
])
def test_anything_else_is_refused(change):
    state = get_state()
    change(state)
    with pytest.raises(InputError, match='no state of random generators'):
        set_state(state)
    assert len(draw()) == 5
