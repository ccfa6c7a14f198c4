"""Pickles in the manner of Python 2."""
import pickle

import pytest

from mmrefseg.datasets.refshapes import python2_pickle


def test_python2_pickle_round_trip():
    value = {'a': [1, -2, 70000], 'b': {'c': 'é "x"'}, 'd': [], 'e': {}}
    assert pickle.loads(python2_pickle.dumps(value)) == value  # noqa: S301  (made here)
    with pytest.raises(TypeError, match='float'):
        python2_pickle.dumps([0.5])
