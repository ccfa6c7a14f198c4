import io

import pytest
import torch
from helpers.toy_runner import ToyModel
from mmengine.model import BaseTTAModel
from torch import nn

from mmrefseg.checkpoints.module_weights import checkpoint_bytes, load_weights, unwrap_model


def make_model(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))


def test_fitting_weights():
    model, other = make_model(), make_model()
    load_weights(model, other.state_dict(), 'file.pth')
    assert torch.equal(model[0].weight, other[0].weight)


def test_batch_counters_may_be_missing():
    state = make_model().state_dict()
    del state['1.num_batches_tracked']
    load_weights(make_model(), state, 'file.pth')


def test_missing_and_unexpected():
    state = make_model().state_dict()
    state['head.weight'] = state.pop('0.weight')
    with pytest.raises(ValueError) as caught:
        load_weights(make_model(), state, 'file.pth')
    message = str(caught.value)
    assert 'file.pth is of another architecture than Sequential' in message
    assert '1 weights of the model are missing there: 0.weight' in message
    assert '1 weights there are unknown to the model: head.weight' in message


def test_shapes():
    state = make_model(5).state_dict()
    del state['0.bias']
    with pytest.raises(ValueError) as caught:
        load_weights(make_model(4), state, 'file.pth')
    message = str(caught.value)
    assert '0.weight (5, 3) instead of (4, 3)' in message
    assert '1 weights of the model are missing there: 0.bias' in message
    assert '5 have another shape' in message
    assert 'other weights' in message


def test_long_lists_are_cut():
    state = {**make_model().state_dict(), **{f'extra.{i:02}': torch.zeros(1) for i in range(25)}}
    with pytest.raises(ValueError, match=r'25 weights .* extra\.09 … and 15 more') as caught:
        load_weights(make_model(), state, 'file.pth')
    assert 'extra.10' not in str(caught.value)


def test_entries_that_are_no_tensors():
    with pytest.raises(ValueError, match='holds no state dict'):
        load_weights(make_model(), {'model': make_model().state_dict()}, 'file.pth')


class Resizing(nn.Module):
    """Adapts a vector of another length when it is loaded, as position embeddings are."""

    def __init__(self, length):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(length))
        self.register_load_state_dict_pre_hook(self.resize)

    @staticmethod
    def resize(module, state_dict, prefix, *args):
        state_dict[f'{prefix}table'] = state_dict[f'{prefix}table'].mean().repeat(len(module.table))


def test_modules_may_adapt_weights():
    model = Resizing(3)
    load_weights(model, {'table': torch.ones(5)}, 'file.pth')
    assert model.table.tolist() == [1, 1, 1]


class Averaging(BaseTTAModel):

    def merge_preds(self, data_samples_list):
        raise NotImplementedError


def test_unwrapping():
    model = ToyModel()
    assert unwrap_model(model) is model
    assert unwrap_model(nn.DataParallel(Averaging(module=model))) is model
    assert isinstance(unwrap_model(nn.Sequential(model)), nn.Sequential)


def test_bytes_of_a_checkpoint():
    checkpoint = {'state_dict': make_model().state_dict(), 'meta': {'epoch': 3}}
    content = checkpoint_bytes(checkpoint)
    loaded = torch.load(io.BytesIO(content))
    assert loaded['meta'] == {'epoch': 3}
    assert torch.equal(loaded['state_dict']['0.weight'], checkpoint['state_dict']['0.weight'])
    assert checkpoint_bytes(loaded) == content


@pytest.mark.parametrize(('value', 'told'), [
    (torch.full((4, 3), 127, dtype=torch.int8), 'torch.int8 instead of torch.float32'),
    (torch.ones(4, 3, dtype=torch.bool), 'torch.bool instead'),
    (torch.ones(4, 3) + 1j, 'torch.complex64 instead'),
    (torch.full((4, 3), 1e39, dtype=torch.float64), r'torch.float64, with numbers beyond the range of torch.float32'),
], ids=['codes', 'truth', 'imaginary', 'endless'])
def test_numbers_of_another_kind(value, told):
    """PyTorch would convert them without a word, and the model would answer nonsense."""
    with pytest.raises(ValueError, match=rf'1 are numbers of another kind: 0\.weight {told}'):
        load_weights(make_model(), {**make_model().state_dict(), '0.weight': value}, 'file.pth')


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_another_precision(dtype):
    model, state = make_model(), make_model().state_dict()
    load_weights(model, {**state, '0.weight': torch.full((4, 3), 0.5).to(dtype)}, 'file.pth')
    assert (model[0].weight == 0.5).all()
