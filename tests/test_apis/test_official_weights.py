"""Official checkpoints are recognised and answer as converted ones do."""
import pytest
import torch
from helpers.golden import golden_weights, read_golden

from mmrefseg.apis.official_weights import load_any_checkpoint, recognise_method
from mmrefseg.errors import InputError
from mmrefseg.models.converters import convert_cris, convert_detris


class Holder(torch.nn.Module):
    """A model that has just the weights it is given names of."""

    def __init__(self, weights) -> None:
        super().__init__()
        self.expected, self.loaded = weights, None

    def state_dict(self, *_, **__):
        return dict(self.expected)

    def load_state_dict(self, state_dict, strict=True, assign=False):
        self.loaded = dict(state_dict)
        return [name for name in self.expected if name not in state_dict], [
            name for name in state_dict if name not in self.expected]


@pytest.mark.parametrize(('method', 'name', 'convert'), [
    ('DETRIS', 'detris_b', convert_detris), ('CRIS', 'cris_tiny', convert_cris)])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_official_checkpoints(golden_folder, tmp_path, method, name, convert, prefix):
    shapes = read_golden(golden_folder / f'{name}.npz').meta['state_dict']
    if method == 'DETRIS':  # of full size: one number for each
        state = {key: torch.zeros(()).expand(tuple(shape)) for key, shape in shapes.items()}
    else:
        state = golden_weights(shapes)
    checkpoint = dict(epoch=3, state_dict={prefix + key: value for key, value in state.items()})
    assert recognise_method(checkpoint) == recognise_method(state) == method
    torch.save(checkpoint, tmp_path / 'official.pth')
    model = Holder(convert(state).weights)
    load_any_checkpoint(model, tmp_path / 'official.pth')
    assert model.loaded.keys() == model.expected.keys()
    assert all(torch.equal(value, model.expected[key]) for key, value in model.loaded.items())


def test_others_are_none():
    assert recognise_method({'backbone.a': 0, 'text_encoder.a': 0, 'neck.a': 0, 'decode_head.a': 0}) is None
    assert recognise_method({}) is None and recognise_method({'state_dict': {}}) is None


def test_the_wrong_config_is_told(tmp_path):
    torch.save({f'{part}.visual.x.weight': torch.zeros(1) for part in ('backbone', 'neck', 'decoder', 'proj')},
               tmp_path / 'official.pth')
    with pytest.raises(InputError, match='an official checkpoint of CRIS, is of another architecture'):
        load_any_checkpoint(torch.nn.Linear(1, 1), tmp_path / 'official.pth')
