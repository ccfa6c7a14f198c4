"""Reading the pickle inside a checkpoint as data.

A pickle is a program: it names functions and calls them with what it likes, and even PyTorch's restricted reader lets
some calls through that crash the process. Here the few opcodes of a checkpoint are interpreted one by one. A name in
the pickle never becomes the object that it names, but looks up a function of :mod:`.pickled_types` that checks its
arguments and gives plain data; every other name is refused.
"""
from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sized
from types import FunctionType
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from .pickled_types import (
    CALLS,
    CONSTANTS,
    HISTORY,
    TYPES,
    Global,
    RefusedName,
    Storage,
    check_key,
    fill_array,
    fill_history,
    fill_ordered_dict,
)

# Gives the elements of a storage, as a flat tensor, for its key in the file, its element type and its length.
FindStorage = Callable[[str, torch.dtype, int], Tensor]

# A thousand tensors with Adam's moments take 120,000; these, if each is a call, a few seconds.
_MAX_OPCODES = 600_000
_MAX_DEPTH = 100
_MAX_ITEMS = 20_000_000
# Calls copy what they are given, which may be one and the same great thing again and again. Of what a checkpoint holds
# there are so many copies: as text, as bytes, in an array, in a history. Some small things are shared.
_COPIES = 4
_SHARED = 1 << 16
# More elements than their storages have, in all tensors together.
_MAX_EXPANDED = 1 << 29
# Keys that are no text, in all dicts and sets together. An optimizer has one per parameter; of a million, chosen so
# that they all meet in the same places, a dict would take hours.
_MAX_NUMBER_KEYS = 1 << 15
_VALUES = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False, 'EMPTY_TUPLE': ()}
_LITERALS = {'BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT', 'BINUNICODE', 'BINSTRING', 'SHORT_BINSTRING'}
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_LEAVES = (type(None), bool, int, float, complex, str, bytes, FunctionType, HistoryBuffer, np.ndarray, torch.Size,
           torch.dtype, torch.device, Tensor, torch.nn.Parameter)
# Calls that make keys of what they are given; an item may be a pair.
_KEYED = ('collections.OrderedDict', 'collections.Counter', 'builtins.set')
_FILL = {OrderedDict: fill_ordered_dict, np.ndarray: fill_array, HistoryBuffer: fill_history}


def unpickle(file: BinaryIO, find_storage: FindStorage) -> Any:
    """Read one pickle; nothing in it is executed.

    Args:
        file: a binary file, at the beginning of the pickle; afterwards at its end.
        find_storage: gives the elements of a storage that the pickle refers to.

    Returns:
        Plain data: built-in containers, numbers, strings, tensors, arrays of plain numbers, and history buffers of
        mmengine.

    Raises:
        RefusedName: it names anything else.
        pickle.UnpicklingError: it is damaged, or nested too deeply. Damage also shows as EOFError, LookupError,
            TypeError, ValueError, OverflowError or RuntimeError.
    """
    interpreter = _Interpreter(find_storage)
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number == _MAX_OPCODES:
            raise pickle.UnpicklingError('it has too many opcodes')
        interpreter.execute(opcode.name, argument)
    result = interpreter.stack.pop()
    _check_data(result)
    return result


class _Interpreter:

    def __init__(self, find_storage: FindStorage) -> None:
        self.find_storage = find_storage
        self.stack: list[Any] = []
        self.below_marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.copies_left, self.expanded_left = _SHARED, _MAX_EXPANDED
        self.number_keys_left = _MAX_NUMBER_KEYS

    def execute(self, opcode: str, argument: Any) -> None:
        self.copies_left += _COPIES * (len(argument) if isinstance(argument, str | bytes) else 1)
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _VALUES:
            self.stack.append(_VALUES[opcode])
        elif opcode in _TUPLES:
            self.stack[-_TUPLES[opcode]:] = [tuple(self._last(_TUPLES[opcode]))]
        elif opcode in self._METHODS:
            self._METHODS[opcode](self, argument)
        elif opcode not in ('PROTO', 'STOP'):
            raise pickle.UnpicklingError(f'opcode {opcode} is none of a checkpoint')

    def _last(self, number: int) -> list[Any]:
        if len(self.stack) < number:
            raise pickle.UnpicklingError('the stack is empty')
        return self.stack[-number:]

    def _empty_dict(self, _: None) -> None:
        self.stack.append({})

    def _empty_list(self, _: None) -> None:
        self.stack.append([])

    def _empty_set(self, _: None) -> None:
        self.stack.append(set())

    def _mark(self, _: None) -> None:
        self.below_marks.append(self.stack)
        self.stack = []

    def _pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below_marks.pop()
        return items

    def _tuple(self, _: None) -> None:
        items = self._pop_mark()
        self.stack.append(tuple(items))

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise pickle.UnpicklingError('items are appended to something that is no list')
        self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        if type(self.stack[-1]) not in (dict, OrderedDict) or len(items) % 2:
            raise pickle.UnpicklingError('items are set in something that is no dict')
        self._count_keys(items[::2])
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][check_key(key)] = value

    def _append(self, _: None) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: None) -> None:
        self._extend(self._pop_mark())

    def _setitem(self, _: None) -> None:
        items = self._last(2)
        del self.stack[-2:]
        self._set(items)

    def _setitems(self, _: None) -> None:
        self._set(self._pop_mark())

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(' ')
        # NumPy moved its functions between its versions 1 and 2, Python its own between 2 and 3.
        module = {'__builtin__': 'builtins'}.get(module, module).replace('numpy._core.', 'numpy.core.')
        path = f'{module}.{name}'
        if path in CONSTANTS:
            self.stack.append(CONSTANTS[path])
        elif path in CALLS or path in TYPES:
            self.stack.append(Global(path))
        else:
            raise RefusedName(path.removeprefix('builtins.'))

    def _reduce(self, _: None) -> None:
        function, arguments = self._last(2)
        del self.stack[-2:]
        if type(function) is not Global or type(arguments) is not tuple:
            raise pickle.UnpicklingError('something is called that is no function')
        if function.path not in CALLS:
            raise RefusedName(f'{function.path}(...)')
        if function.path in _KEYED and arguments and isinstance(arguments[0], Sized):
            self._count_keys(arguments[0])
        value = CALLS[function.path](*arguments)
        if isinstance(value, Tensor):
            self.expanded_left -= max(0, value.numel() - value.untyped_storage().nbytes() // value.element_size())
        self._count(sum(len(argument) for argument in arguments
                        if isinstance(argument, Sized) and not isinstance(argument, Tensor)))
        self.stack.append(value)

    def _newobj(self, _: None) -> None:
        function, arguments = self._last(2)
        del self.stack[-2:]
        if function != HISTORY or type(function) is not Global or arguments != ():
            raise RefusedName(function.path if type(function) is Global else type(function).__name__)
        self.stack.append(HistoryBuffer())

    def _build(self, _: None) -> None:
        state = self.stack.pop()
        value = self.stack[-1]
        if isinstance(value, np.dtype):
            # What remains to be said of a type of plain numbers is the order of their bytes.
            if type(state) is not tuple or state[:2] not in ((3, '<'), (3, '|')) or any(state[2:5]):
                raise RefusedName('numpy.dtype of another byte order or with fields')
        elif type(value) in _FILL:
            _FILL[type(value)](value, state)
            self._count(_num_filled(value, state))
        else:
            raise pickle.UnpicklingError(f'a {type(value).__name__} has no state')

    def _count_keys(self, keys: Iterable[Any]) -> None:
        """Refuse a pickle that has too many keys of which anybody knows the hash."""
        self.number_keys_left -= sum(type(key) is not str for key in keys)
        if self.number_keys_left < 0:
            raise pickle.UnpicklingError('it repeats too much, or has too many keys that are no text')

    def _count(self, copied: int) -> None:
        """Refuse a pickle that makes much out of little, by repetition."""
        self.copies_left -= copied
        if min(self.copies_left, self.expanded_left) < 0:
            raise pickle.UnpicklingError('it repeats too much')

    def _binpersid(self, _: None) -> None:
        identifier = self.stack.pop()
        if type(identifier) is not tuple or len(identifier) not in (5, 6) or any(identifier[5:]):
            raise pickle.UnpicklingError('a reference to a storage is of another form')
        word, kind, key, _, length = identifier[:5]
        if word != 'storage' or type(kind) is not Storage or type(key) is not str or type(length) is not int:
            raise pickle.UnpicklingError('a reference to a storage is of another form')
        self.stack.append(Storage(kind.dtype, self.find_storage(key, kind.dtype, length)))

    _METHODS = {
        'EMPTY_DICT': _empty_dict, 'EMPTY_LIST': _empty_list, 'EMPTY_SET': _empty_set, 'MARK': _mark, 'TUPLE': _tuple,
        'BINPUT': _put, 'LONG_BINPUT': _put, 'BINGET': _get, 'LONG_BINGET': _get, 'APPEND': _append,
        'APPENDS': _appends, 'SETITEM': _setitem, 'SETITEMS': _setitems, 'GLOBAL': _global, 'REDUCE': _reduce,
        'NEWOBJ': _newobj, 'BUILD': _build, 'BINPERSID': _binpersid}


def _num_filled(value: np.ndarray | HistoryBuffer | OrderedDict, state: Any) -> int:
    """How many bytes, numbers or entries a value got by its state, which was checked."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, HistoryBuffer):
        return len(state['_log_history']) + len(state['_count_history'])
    return len(value._metadata)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    if type(value) in (list, tuple, set):
        return value
    if type(value) is Global:
        raise RefusedName(value.path)
    if type(value) not in _LEAVES and not isinstance(value, np.generic | np.dtype):
        raise RefusedName(type(value).__name__)
    return ()


def _check_data(root: Any) -> None:
    """Refuse what isn't data, and data that contains itself, nests deeply or grows by repetition.

    Whoever walks through such a value would not come to an end. Here is no recursion, and a value that occurs often
    is looked at once.
    """
    sizes: dict[int, int] = {}
    path = [_Visit(root)]
    within = {id(root)}
    while path:
        visit = path[-1]
        child = next(visit.children, visit)
        if child is visit:
            path.pop()
            within.discard(id(visit.value))
            sizes[id(visit.value)] = visit.size
            if path:
                path[-1].size += visit.size
        elif id(child) in sizes:
            visit.size += sizes[id(child)]
        elif id(child) in within or len(path) == _MAX_DEPTH:
            raise pickle.UnpicklingError('it contains itself, or nests too deeply')
        else:
            path.append(_Visit(child))
            within.add(id(child))
        if visit.size > _MAX_ITEMS:
            raise pickle.UnpicklingError('it holds too many items')


class _Visit:
    """A value on the way through a tree, its children that are still to come, and the items counted so far."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.children = iter(_children(value))
        self.size = 1
