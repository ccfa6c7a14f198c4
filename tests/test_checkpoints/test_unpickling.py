"""What a checkpoint's pickle can do with every name that it may use."""
import multiprocessing
import os
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from helpers.hostile_pickles import (
    built,
    called,
    dict_of,
    list_of,
    named,
    plain,
    storage,
    tensor,
    tuple_of,
    write_checkpoint,
)
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from mmrefseg.checkpoints import unpickling
from mmrefseg.checkpoints.pickled_types import CALLS, TYPES
from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.errors import InputError

HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
ONE_CYCLE = 'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'
MULTIARRAY = 'numpy.core.multiarray'


def data(content):
    return called('_codecs.encode', plain(content.decode('latin1')), plain('latin1'))


def dtype(name):
    return called('numpy.dtype', plain(name), plain(False), plain(True))


EMPTY_ARRAY = called(f'{MULTIARRAY}._reconstruct', named('numpy.ndarray'), plain((0, )), data(b'b'))


def array(name, shape, content, fortran=False):
    return built(EMPTY_ARRAY, tuple_of(plain(1), plain(shape), dtype(name), plain(fortran), content))


def history(**state):
    state = {'_log_history': array('f8', (1, ), data(bytes(8))), '_count_history': array('i8', (1, ), data(bytes(8))),
             'max_length': plain(10), **state}
    return built(named(HISTORY) + b')\x81', dict_of(state))


def read(tmp_path, content, **kwargs):
    path = write_checkpoint(tmp_path / 'a.pth', dict_of({'x': content}), **kwargs)
    return load_from_local(str(path))['state_dict']['x']


POINTER = data(b'A' * 8)
ATTACKS = {
    # Arrays over the file's own bytes.
    'an array made directly over bytes': called('numpy.ndarray', plain((1, )), dtype('O8'), POINTER),
    'numbers made directly over bytes': called('numpy.ndarray', plain((1, )), dtype('f8'), POINTER),
    'with strides': called('numpy.ndarray', plain((2, )), dtype('f8'), POINTER, plain(0), plain((1 << 40, ))),
    'a new array': named('numpy.ndarray') + tuple_of(plain((1 << 40, ))) + b'\x81',
    'a new type': named('numpy.dtype') + tuple_of(plain('O8')) + b'\x81',
    'an array of objects': array('O8', (1, ), POINTER),
    'an array of a list of objects': array('O8', (1, ), list_of(plain(1))),
    'an array of void': array('V8', (1, ), POINTER),
    'an array of text': array('U2', (1, ), POINTER),
    'an array of dates': array('M8', (1, ), POINTER),
    'an array larger than its bytes': array('f8', (1 << 20, ), POINTER),
    'an array smaller than its bytes': array('u1', (1, ), POINTER),
    'an array with an overflowing size': array('f8', (1 << 32, 1 << 32), data(b'')),
    'an array of a negative size': array('f8', (-1, -1), POINTER),
    'an array of no shape': array('f8', [1], POINTER),
    'an array of a bool shape': array('f8', (True, ), POINTER),
    'an array of text as bytes': array('f8', (1, ), plain('AAAAAAAA')),
    'an array of a list as bytes': array('f8', (1, ), plain([1.0])),
    'an array of many dimensions': array('f8', (1, ) * 70, POINTER),
    'an array without a type': built(EMPTY_ARRAY, plain((1, (1, ), None, False, 'A' * 8))),
    'a short state': built(EMPTY_ARRAY, plain((1, (1, )))),
    'a wrong order': array('f8', (1, ), POINTER, fortran=1),
    'another class than arrays': called(f'{MULTIARRAY}._reconstruct', named(HISTORY), plain((0, )), data(b'b')),
    'an array of garbage': called(f'{MULTIARRAY}._reconstruct', named('numpy.ndarray'), plain((9, )), data(b'O')),
    'a scalar of objects': called(f'{MULTIARRAY}.scalar', dtype('O8'), POINTER),
    'a scalar beyond its bytes': called(f'{MULTIARRAY}.scalar', dtype('f8'), data(b'A')),
    'a scalar of no bytes': called(f'{MULTIARRAY}.scalar', dtype('f8'), plain('A' * 8)),
    'a scalar without a type': called(f'{MULTIARRAY}.scalar', plain('f8'), POINTER),
    'a type of objects by its state': built(dtype('f8'), plain((3, '|', None, ('a', ), {'a': 1}, 8, 8, 63))),
    'a type of another byte order': built(dtype('f8'), plain((3, '>', None, None, None, -1, -1, 0))),
    'a type inside a type': built(dtype('f8'), plain((3, '<', 'O', None, None, -1, -1, 0))),
    'a type of many fields': dtype('f8,O8'),
    'a type by a list': called('numpy.dtype', plain([('a', 'O')])),
    # Tensors beyond their storage.
    'a tensor larger than its storage': tensor((5, )),
    'a tensor behind its storage': tensor((4, ), offset=1),
    'a tensor far behind its storage': tensor((1, ), offset=1 << 61),
    'a tensor ahead of its storage': tensor((1, ), offset=-1),
    'a tensor with a negative stride': tensor((4, ), (-1, )),
    'a tensor with a large stride': tensor((2, ), (1 << 61, )),
    'a tensor with an overflowing stride': tensor((3, ), (1 << 63, )),
    'a tensor of a negative size': tensor((-4, )),
    'a tensor of an overflowing size': tensor((1 << 32, 1 << 32), (0, 0)),
    'a tensor of endless repetition': tensor((1 << 40, ), (0, )),
    'a tensor of fewer strides': tensor((2, 2), (1, )),
    'a tensor of a float size': tensor((4.0, )),
    'a tensor without a storage': tensor(source=plain(None)),
    'a tensor of a type of storage': tensor(source=named('torch.FloatStorage')),
    'a tensor of a tensor': tensor(source=tensor()),
    'a tensor of a history': tensor(source=history()),
    'a tensor set again': built(tensor(), tuple_of(storage(), plain(0), plain((9, )), plain((1, )))),
    'a tensor that is conjugated': called('torch._utils._rebuild_tensor_v2', storage(), plain(0), plain((4, )),
                                          plain((1, )), plain(False), plain(None), plain({'conj': True})),
    'a storage longer than its bytes': tensor(source=storage(5)),
    'a storage shorter than its bytes': tensor((1, ), source=storage(1)),
    'a storage of a negative length': tensor(source=storage(-4)),
    'an enormous storage': tensor(source=storage(1 << 60)),
    'a storage of two types': tuple_of(tensor(), tensor((2, ), source=storage(2, 'Long'))),
    'a storage that is missing': tensor(source=storage(key='7')),
    'a storage elsewhere': tensor(source=storage(key='../data.pkl')),
    'a bare storage': storage(),
    'something else that is stored': tuple_of(plain('module'), named('torch.FloatStorage'), plain('0'), plain('cpu'),
                                              plain(4)) + b'Q',
    'a parameter of no tensor': called('torch._utils._rebuild_parameter', plain(1), plain(True), plain(None)),
    'a parameter set again': built(called('torch._utils._rebuild_parameter', tensor(), plain(True), plain(None)),
                                   tuple_of(storage(), plain(0), plain((9, )), plain((1, )))),
    # What PyTorch's own restricted reader allows.
    'a sparse tensor': called('torch._utils._rebuild_sparse_tensor', called('torch.serialization._get_layout', plain(
        'torch.sparse_coo')), tuple_of(tensor(), tensor(), plain((2, )))),
    'a nested tensor': called('torch._utils._rebuild_nested_tensor', tensor(), tensor(), tensor(), tensor()),
    'a quantized tensor': called('torch._utils._rebuild_qtensor', storage(), plain(0), plain((9, )), plain((1, )),
                                 plain((1, )), plain(False), plain(None)),
    'a tensor without numbers': called('torch._utils._rebuild_wrapper_subclass', named('torch.Tensor')),
    'a tensor of another class': called('torch._tensor._rebuild_from_type_v2', named('torch.Size'),
                                        named('torch.Tensor'), plain(()), plain({'data': 1})),
    'a tensor on another device': called('torch._utils._rebuild_device_tensor_from_numpy', plain(1)),
    'memory': called('builtins.bytearray', plain(1 << 45)),
    'a storage without a file': called('torch.storage.UntypedStorage', plain(1 << 45)),
    'a new tensor': called('torch.Tensor', plain(1 << 45)),
    # Calls of things that aren't named.
    'a call of a method': called('builtins.getattr', named(HISTORY), plain('mean')) + tuple_of(plain(1)) + b'R',
    'a call of text': plain('text') + plain(()) + b'R',
    'a call of a type': named(HISTORY) + plain(()) + b'R',
    'arguments that are no tuple': named('torch.Size') + plain([1]) + b'R',
    'a new object with arguments': named(HISTORY) + plain((1, )) + b'\x81',
    'a new object of a function': named('torch.Size') + plain(()) + b'\x81',
    'a new scheduler': named(ONE_CYCLE) + plain(()) + b'\x81',
    'another method': called('builtins.getattr', named(HISTORY), plain('__init__')),
    'another method of a scheduler': called('builtins.getattr', named(ONE_CYCLE), plain('__globals__')),
    "a method's attribute": called('builtins.getattr', called('builtins.getattr', named(HISTORY), plain('mean')),
                                   plain('__globals__')),
    'a method of no name': called('builtins.getattr', named(HISTORY), plain(['mean'])),
    'a method of data': called('builtins.getattr', plain('text'), plain('format')),
    'a state of a method': built(called('builtins.getattr', named(HISTORY), plain('mean')),
                                 plain((None, {'__defaults__': (1, )}))),
    'a state of a name': built(named(HISTORY), plain({'mean': 1})),
    'a state of a dict': built(plain({}), plain({'__class__': 1})),
    'a name alone': named(HISTORY),
    'a function alone': named('builtins.getattr'),
    # States.
    'a history of text': history(_log_history=plain('text')),
    'a history of two dimensions': history(_log_history=array('f8', (1, 1), data(bytes(8)))),
    'a history of another length': history(_log_history=array('f8', (2, ), data(bytes(16)))),
    'a history without an end': history(max_length=plain(None)),
    'a history of a list': built(named(HISTORY) + b')\x81', plain([1])),
    'versions that are none': built(called('collections.OrderedDict'), plain({'_metadata': {'': {'version': 'x'}}})),
    'versions by number': built(called('collections.OrderedDict'), plain({'_metadata': {1: {}}})),
    'a state dict with a text as state': built(called('collections.OrderedDict'), plain('text')),
    'an OrderedDict of text': called('collections.OrderedDict', plain(['ab', 'cd'])),
    'a Counter of lists': called('collections.Counter', plain({'a': []})),
    'a set of a number': called('builtins.set', plain(1)),
    'a complex text': called('builtins.complex', plain('1'), plain('j')),
    'bytes of a length': called('builtins.bytes', plain(1 << 45)),
    'other encodings': called('_codecs.encode', plain('os'), plain('zlib')),
    'an unknown device': called('torch.device', plain('nowhere')),
    'a device of a list': called('torch.device', plain(['cpu'])),
    'a size of text': called('torch.Size', plain('ab')),
    'a size of lists': called('torch.Size', plain(([], ))),
    # Containers.
    'a key of many parts': dict_of({'x': b'}' + plain(('a', ) * 5) + plain(1) + b's'}),
    'a key of three numbers': dict_of({'x': b'}' + plain((1, 2, 3)) + plain(1) + b's'}),
    'a key of a large number': dict_of({'x': b'}' + plain((1 << 16, )) + plain(1) + b's'}),
    'a fraction in an item of a set': dict_of({'x': called('builtins.set', list_of(plain((0.5, ))))}),
    'a deep key': b'})' + b'\x85' * 200_000 + plain(1) + b's',
    'a deep item of a set': called('builtins.set', list_of(b')' + b'\x85' * 100_000)),
    'a deep list': b']' * 10_000 + b'a' * 9_999,
    'a list of itself': b']q\x05h\x05a',
    'a dict of itself': b'}q\x05' + plain('a') + b'h\x05s',
    'a thousand million items': tuple_of(b']q\x00', *(
        b'](' + bytes((ord('h'), i)) * 10 + b'eq' + bytes((i + 1, )) for i in range(9))),
    'a key that is a list': b'}' + plain([]) + plain(1) + b's',
    'a key that is a large number': b'}' + plain(2**61 - 1) + plain(1) + b's',
    'a key that is a dtype': b'}' + dtype('f8') + plain(1) + b's',
    'an item of a tensor': tensor() + plain(0) + plain(1.0) + b's',
    'an item of an array': array('f8', (1, ), POINTER) + plain(0) + plain(1.0) + b's',
    'an item of a list': plain([1]) + plain(0) + plain(1.0) + b's',
    'more of a tensor': tensor() + plain(0) + b'a',
    'a key without a value': b'}(' + plain('a') + b'u',
    # Opcodes.
    'an unknown opcode': b'\xff',
    'an opcode of Python 2': b'(' + plain(1) + b'ios\nsystem\n',
    'an extension': b'\x82\x01',
    'a number that is text': b'I1\n',
    'an enormous memo': plain(1) + b'r\xff\xff\xff\xff' + b'j\xff\xff\xff\xfe',
    'text without an end': b'X\xff\xff\xff\x7fabc',
    'an empty stack': b'000000000R',
    'no mark': b'e',
    'an unknown memo': b'h\xf0',
}


def _try(path, answer):
    try:
        load_from_local(str(path))
    except InputError as error:
        answer.send(str(error))
        os._exit(0)
    os._exit(1)


@pytest.mark.parametrize('name', ATTACKS)
def test_attacks_are_refused(tmp_path, name):
    """In a process of its own, which an attack that succeeds may end."""
    path = write_checkpoint(tmp_path / 'bad.pth', ATTACKS[name])
    context = multiprocessing.get_context('fork')
    here, there = context.Pipe()
    process = context.Process(target=_try, args=(path, there))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert str(path) in here.recv()


def test_every_name_is_attacked():
    attacked = b''.join(ATTACKS.values())
    for path in {*CALLS, *TYPES} - {'torch._utils._rebuild_parameter_with_state', 'torch._utils._rebuild_tensor'}:
        assert named(path) in attacked, path
    assert CALLS['torch._utils._rebuild_tensor'] is CALLS['torch._utils._rebuild_tensor_v2']
    assert CALLS['torch._utils._rebuild_parameter'] is CALLS['torch._utils._rebuild_parameter_with_state']


@pytest.mark.parametrize('name', ['bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
                                  'float16', 'float32', 'float64', 'complex64', 'complex128'])
def test_arrays_of_plain_numbers(tmp_path, name):
    values = {
        'array': np.arange(6).reshape(2, 3).astype(name), 'turned': np.asfortranarray(np.ones((2, 3), name)),
        'empty': np.empty((0, 3), name), 'one': np.ones((), name), 'scalar': np.ones(1, name)[0]}
    torch.save({'x': values}, tmp_path / 'a.pth')
    loaded = load_from_local(str(tmp_path / 'a.pth'))['x']
    assert loaded.keys() == values.keys()
    for key, value in values.items():
        assert type(loaded[key]) is type(value) and loaded[key].dtype == value.dtype
        np.testing.assert_array_equal(loaded[key], value)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('name', ['bool', 'uint8', 'int8', 'int16', 'int32', 'int64', 'float16', 'bfloat16', 'float32',
                                  'float64', 'complex64', 'complex128'])
def test_tensors(tmp_path, name, zipped):
    whole = torch.arange(24).to(getattr(torch, name)).view(2, 3, 4)
    values = {'whole': whole, 'turned': whole.permute(2, 0, 1), 'part': whole[1, :, 1:3], 'one': whole[1, 2, 3],
              'empty': whole[:0], 'repeated': whole[:1].expand(7, 3, 4)}
    torch.save({'x': values}, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    loaded = load_from_local(str(tmp_path / 'a.pth'))['x']
    for key, value in values.items():
        assert loaded[key].dtype == value.dtype
        assert torch.equal(loaded[key], value)
        assert loaded[key].is_leaf and not loaded[key].requires_grad
    assert loaded['turned'].stride() == values['turned'].stride()
    loaded['whole'][1, 2, 3] = 0
    assert loaded['one'] == 0, 'they have one storage'


@pytest.mark.parametrize('zipped', [True, False])
def test_other_values(tmp_path, zipped):
    weight = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    state = OrderedDict(weight=torch.nn.Parameter(torch.ones(2)), frozen=weight)
    state._metadata = OrderedDict({'': {'version': 2}, 'layer': {'version': None}})
    values = {
        'numbers': (1, -1, 2**40, -2**70, 0.5, True, None, 1 + 2j), 'bytes': b'\xff\x00', 'no bytes': b'',
        'size': torch.Size((2, 3)), 'device': torch.device('cuda', 1), 'dtype': torch.float16, 'set': {1, 'a'},
        'counter': Counter({3: 2}), 'texts': ['', 'ü\ud800'], 'keys': {(1, 'a'): 1, 2.5: 2, None: 3, True: 4},
        'method': HistoryBuffer.mean, 'anneal': OneCycleParamScheduler._annealing_cos}
    torch.save({'x': values, 'state_dict': state}, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    loaded = load_from_local(str(tmp_path / 'a.pth'))
    assert loaded['x'] == values
    assert type(loaded['x']['counter']) is Counter and type(loaded['x']['size']) is torch.Size
    assert loaded['state_dict']._metadata == state._metadata
    assert {name: (type(value), value.requires_grad) for name, value in loaded['state_dict'].items()} == {
        'weight': (torch.nn.Parameter, True), 'frozen': (torch.nn.Parameter, False)}


@pytest.mark.parametrize('content', [
    lambda keys: plain(dict.fromkeys(keys)), lambda keys: called('builtins.set', plain(list(keys))),
    lambda keys: called('collections.OrderedDict', plain([(key, 1) for key in keys])),
    lambda keys: list_of(*[plain({key: 1}) for key in keys]),
    lambda keys: plain(dict.fromkeys((key % 1000, key // 1000) for key in keys)),
    lambda keys: plain(dict.fromkeys(map(float, keys)))])
def test_keys_that_could_meet_in_a_dict(tmp_path, monkeypatch, content):
    """As tests/test_datasets/test_refer_pickle.py shows; only their number keeps that from taking hours."""
    monkeypatch.setattr(unpickling, '_MAX_NUMBER_KEYS', 2000)
    read(tmp_path, content(range(2000)))
    with pytest.raises(InputError, match='has too many keys that are no text'):
        read(tmp_path, content(range(2001)))
    read(tmp_path, plain(dict.fromkeys(map(str, range(3000)))))


def test_histories_leave_the_class_alone(tmp_path):
    methods = dict(HistoryBuffer()._statistics_methods)
    swapped = dict_of({'mean': called('builtins.getattr', named(HISTORY), plain('max'))})
    loaded = read(tmp_path, history(statistics_methods=swapped, __class__=plain('x'), mean=plain(1)))
    assert loaded.statistics('current') == 0
    assert loaded.mean.__func__ is HistoryBuffer.mean
    assert HistoryBuffer._statistics_methods == methods


def test_one_array_by_two_names(tmp_path):
    first, second = read(tmp_path, tuple_of(array('f8', (2, ), data(np.ones(2).tobytes())) + b'q\x01', b'h\x01'))
    assert first is second and first.tolist() == [1, 1]


def test_opcodes_without_an_end(tmp_path, monkeypatch):
    content = b'(' + b'\x88' * 2_000 + b't'
    assert len(read(tmp_path, content)) == 2_000
    monkeypatch.setattr(unpickling, '_MAX_OPCODES', 2_000)
    with pytest.raises(InputError, match='too many opcodes'):
        read(tmp_path, content)


LARGE = 1 << 12
PAIRS = list_of(*[plain((1, 2))] * LARGE)
REPEATED = {
    'pairs': (PAIRS, called('collections.OrderedDict', b'h\x01')),
    'items': (list_of(*[plain(1)] * LARGE), called('builtins.set', b'h\x01')),
    'counts': (plain(dict.fromkeys(range(LARGE), 1)), called('collections.Counter', b'h\x01')),
    'bytes': (plain('a' * LARGE), called('_codecs.encode', b'h\x01', plain('latin1'))),
    'numbers': (data(bytes(LARGE)), array('u1', (LARGE, ), b'h\x01')),
    'versions': (plain({'_metadata': {str(i): {} for i in range(LARGE)}}), called('collections.OrderedDict') +
                 b'h\x01b'),
    'histories': (array('f8', (LARGE, ), data(bytes(8 * LARGE))),
                  history(_log_history=b'h\x01', _count_history=b'h\x01', max_length=plain(LARGE))),
    'expanded': (tensor((1, ), source=storage(1) + b'q\x02'), tensor((1 << 21, ), (0, ), source=b'h\x02')),
}


@pytest.mark.parametrize('name', REPEATED)
def test_little_does_not_become_much(tmp_path, name):
    """A file of a megabyte could name one large thing again and again, and have it copied each time."""
    large, copy = REPEATED[name]
    storages = {'0': bytes(4)}
    assert len(read(tmp_path, list_of(large + b'q\x01', *[copy] * 3), storages=storages)) == 4
    with pytest.raises(InputError, match='repeats too much'):
        read(tmp_path, list_of(large + b'q\x01', *[copy] * 300), storages=storages)
