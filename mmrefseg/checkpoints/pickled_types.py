"""What the pickle inside a checkpoint may name, and how plain data is made of it.

Every function here gets its arguments from a file that may have been made to do harm, and checks them all: types are
compared exactly, sizes with the number of elements or bytes that are there.
"""
from __future__ import annotations

import math
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import get_object_from_string
from torch import Tensor, nn

# A tensor may have more elements than its storage, by `expand`; more than those of any weight would be an attack.
_MAX_REPEATED = 2**28
_MAX_DIMENSIONS = 32
# Every integer below hashes to itself: nobody can choose many keys with the very same hash.
_MAX_KEY = 2**60


class RefusedName(pickle.UnpicklingError):
    """A pickle names something that is neither data nor a state of mmengine; the only argument is that name."""


class Global(NamedTuple):
    """A name in a pickle, in the place of what it names.

    Args:
        path: module and name, joined by a dot.
    """

    path: str


class Storage(NamedTuple):
    """The elements behind one or more tensors.

    Args:
        dtype: type of an element.
        elements: them all, a flat tensor; None stands for the type of storage alone.
    """

    dtype: torch.dtype
    elements: Tensor | None = None


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise pickle.UnpicklingError(f'{what} is of another form')


def _is_shape(value: Any) -> bool:
    return (type(value) is tuple and len(value) <= _MAX_DIMENSIONS
            and all(type(number) is int and 0 <= number < 2**62 for number in value))


def check_key(key: Any) -> Any:
    """A dict's key or a set's item, unless hashing it could take long or end the process.

    Args:
        key: the key; or a short tuple of texts and at most two small whole numbers, for of larger ones, or of
            fractions, anybody may choose tens of thousands with the same hash.

    Returns:
        The same key.
    """
    names = (str, bytes, bool, type(None))
    if type(key) is tuple:
        numbers = [part for part in key if type(part) not in names]
        holds = len(key) <= 4 and len(numbers) <= 2 and all(type(n) is int and abs(n) < 1 << 16 for n in numbers)
    else:
        holds = type(key) in (*names, float) or (type(key) is int and abs(key) < _MAX_KEY)
    _expect(holds, 'a key of a dict')
    return key


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None,
            metadata: Any = None) -> Tensor:
    _expect(type(storage) is Storage and storage.elements is not None, 'the storage of a tensor')
    _expect(_is_shape(size) and _is_shape(stride) and _is_shape((offset, )) and len(size) == len(stride),
            'the shape of a tensor')
    _expect(type(requires_grad) is bool and not metadata, 'a tensor')
    elements, number = storage.elements, math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) if number else -1
    _expect(last < len(elements) and number <= max(len(elements), _MAX_REPEATED), 'the shape of a tensor')
    if not number:
        offset, stride = 0, (1, ) * len(size)
    return elements.as_strided(size, stride, offset).requires_grad_(requires_grad)


def _parameter(data: Any, requires_grad: Any, hooks: Any = None, state: Any = None) -> nn.Parameter:
    _expect(type(data) is Tensor and type(requires_grad) is bool, 'a parameter')
    return nn.Parameter(data, requires_grad)


def _size(numbers: Any) -> torch.Size:
    _expect(_is_shape(numbers), 'a torch.Size')
    return torch.Size(numbers)


def _device(kind: Any, index: Any = 0) -> torch.device:
    _expect(type(kind) is str and type(index) is int, 'a torch.device')
    return torch.device(kind, index)


def _ordered_dict(pairs: Any = ()) -> OrderedDict:
    _expect(type(pairs) in (list, tuple) and all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs),
            'an OrderedDict')
    return OrderedDict((check_key(key), value) for key, value in pairs)


def fill_ordered_dict(value: OrderedDict, state: Any) -> None:
    """Give a state dict the versions of the modules that it is of.

    Args:
        value: the state dict, which is changed.
        state: what the pickle says of it; only ``_metadata``, module → ``version``, is taken.
    """
    _expect(type(state) is dict, 'the state of an OrderedDict')
    versions = state.get('_metadata', {})
    _expect(type(versions) in (dict, OrderedDict) and all(
        type(name) is str and type(entry) is dict and type(entry.get('version', 1)) in (int, type(None))
        for name, entry in versions.items()), 'the versions in a state dict')
    # By the versions modules tell whether they must convert what an older one of them saved.
    value._metadata = OrderedDict((name, {'version': entry.get('version')}) for name, entry in versions.items())


def _counter(counts: Any) -> Counter:
    _expect(type(counts) is dict and all(type(count) is int for count in counts.values()), 'a Counter')
    return Counter(counts)


def _set(items: Any = ()) -> set:
    _expect(type(items) in (list, tuple), 'a set')
    return {check_key(item) for item in items}


def _complex(real: Any, imaginary: Any) -> complex:
    _expect(type(real) is float and type(imaginary) is float, 'a complex number')
    return complex(real, imaginary)


def _encode(text: Any, encoding: Any) -> bytes:
    _expect(type(text) is str and encoding == 'latin1', 'a byte string')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    return b''


# Types of plain numbers alone: bytes as objects would become pointers.
_DTYPES = {np.dtype(name).str[1:]: np.dtype(name) for name in (
    'bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'float16', 'float32', 'float64',
    'complex64', 'complex128')}


def _dtype(name: Any, align: Any = False, copy: Any = True) -> np.dtype:
    _expect(type(name) is str, 'a numpy.dtype')
    if name not in _DTYPES:
        raise RefusedName(f'numpy.dtype({name:.20})')
    return _DTYPES[name]


def _check_numbers(dtype: Any, shape: Any, data: Any) -> None:
    _expect(isinstance(dtype, np.dtype) and _is_shape(shape) and type(data) is bytes
            and math.prod(shape) * dtype.itemsize == len(data), 'a NumPy array')


def _array(kind: Any, shape: Any, typecode: Any) -> np.ndarray:
    _expect(kind == Global('numpy.ndarray') and shape == (0, ) and typecode == b'b', 'a NumPy array')
    return np.empty(0, np.int8)


def fill_array(value: np.ndarray, state: Any) -> None:
    """Give an array its numbers, in place: it may be known by several names in the pickle.

    Args:
        value: the array, which is changed.
        state: what the pickle says of it: version, shape, type, whether it is in Fortran's order, and the bytes.
    """
    _expect(type(state) is tuple and len(state) == 5 and type(state[3]) is bool, 'the state of a NumPy array')
    _, shape, dtype, is_fortran, data = state
    _check_numbers(dtype, shape, data)
    value.__setstate__((1, shape, dtype, is_fortran, data))


def _scalar(dtype: Any, data: Any) -> np.generic:
    _check_numbers(dtype, (), data)
    return np.frombuffer(data, dtype)[0]


# Methods that mmengine's objects keep a reference to, and so name in a checkpoint.
_METHODS = {
    'mmengine.logging.history_buffer.HistoryBuffer': ('min', 'max', 'current', 'mean'),
    'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler': ('_annealing_cos', '_annealing_linear'),
}


def _method(owner: Any, name: Any) -> Callable:
    names = _METHODS.get(owner.path, ()) if type(owner) is Global else ()
    if type(name) is not str or name not in names:
        path = owner.path if type(owner) is Global else type(owner).__name__
        raise RefusedName(f'{path.rpartition(".")[2]}.{name:.40}' if type(name) is str else path)
    return getattr(get_object_from_string(owner.path), name)


def fill_history(value: HistoryBuffer, state: Any) -> None:
    """Give a history its numbers; the methods that it names are left alone, which all histories share.

    Args:
        value: the history, which is changed.
        state: what the pickle says of it: ``_log_history`` and ``_count_history``, (N, ) each, and ``max_length``.
    """
    _expect(type(state) is dict, 'a history')
    values, counts = state.get('_log_history'), state.get('_count_history')
    length = state.get('max_length')
    _expect(type(values) is np.ndarray and type(counts) is np.ndarray and values.ndim == 1
            and values.shape == counts.shape and type(length) is int, 'a history')
    value.__init__(values, counts, length)


# What stands for itself.
CONSTANTS = {
    **{f'torch.{name}': getattr(torch, name) for name in (
        'bool', 'uint8', 'int8', 'int16', 'int32', 'int64', 'float16', 'bfloat16', 'float32', 'float64', 'complex64',
        'complex128')},
    **{f'torch.{name}Storage': Storage(dtype) for name, dtype in (
        ('Bool', torch.bool), ('Byte', torch.uint8), ('Char', torch.int8), ('Short', torch.int16), ('Int', torch.int32),
        ('Long', torch.int64), ('Half', torch.float16), ('BFloat16', torch.bfloat16), ('Float', torch.float32),
        ('Double', torch.float64), ('ComplexFloat', torch.complex64), ('ComplexDouble', torch.complex128))},
}

# What a pickle may call, and what is called instead.
CALLS: dict[str, Callable] = {
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter,
    'torch.Size': _size,
    'torch.device': _device,
    'collections.OrderedDict': _ordered_dict,
    'collections.Counter': _counter,
    'builtins.set': _set,
    'builtins.complex': _complex,
    'builtins.bytes': _no_bytes,
    'builtins.getattr': _method,
    '_codecs.encode': _encode,
    'numpy.core.multiarray._reconstruct': _array,
    'numpy.core.multiarray.scalar': _scalar,
    'numpy.dtype': _dtype,
}

# Names of types, which are no data themselves.
TYPES = {'numpy.ndarray', *_METHODS}
HISTORY = Global('mmengine.logging.history_buffer.HistoryBuffer')
