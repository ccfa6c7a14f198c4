"""The command that converts CRIS's official checkpoints."""
from functools import partial

import pytest
import torch
from helpers.golden import read_golden

import mmrefseg
from mmrefseg.checkpoints.reading import load_from_local


@pytest.fixture
def command(run_converter):
    return partial(run_converter, 'cris_to_mmrefseg')


@pytest.fixture
def shapes(golden_folder):
    def read(name):
        return read_golden(golden_folder / f'cris_{name}.npz').meta['state_dict']
    return read


def test_a_checkpoint_of_training(command, save_official, as_trained, tmp_path, shapes, capsys):
    source = save_official(tmp_path / 'best_model.pth', shapes('r101'), as_trained, 'module.')
    command(source, tmp_path / 'cris.pth')
    told = capsys.readouterr().out
    assert 'configs/cris/cris_r101_refcoco.py' in told
    assert '6 left out or cut: state of the training (best_iou, cur_iou, …)' in told
    assert '1 left out or cut: used in the pretraining of CLIP only (backbone.logit_scale)' in told
    converted = load_from_local(str(tmp_path / 'cris.pth'))
    assert converted['meta'] == dict(mmrefseg_version=mmrefseg.__version__, converted_from='best_model.pth')
    weights = converted['state_dict']
    assert {name.split('.')[0] for name in weights} == {'text_encoder', 'backbone', 'neck', 'decode_head'}
    assert weights['backbone.connect.conv.weight'].shape == (512, 2048, 1, 1)


def test_r50(command, save_official, tmp_path, shapes, capsys):
    command(save_official(tmp_path / 'r50.pth', shapes('r50')), tmp_path / 'out.pth')
    assert 'configs/cris/cris_r50_refcoco.py' in capsys.readouterr().out


def test_another_size_is_refused(command, save_official, tmp_path, shapes):
    source = save_official(tmp_path / 'tiny.pth', shapes('tiny'))
    with pytest.raises(SystemExit, match=r'(?s)cris_to_mmrefseg: .*tiny\.pth.*compared with .*have another shape'):
        command(source, tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


def test_checkpoints_of_others_are_refused(command, tmp_path):
    torch.save({'txt_backbone.ln_final.bias': torch.zeros(2), 'dinov2.norm.bias': torch.zeros(2)}, tmp_path / 'a.pth')
    with pytest.raises(SystemExit, match=r'a\.pth is no checkpoint of CRIS'):
        command(tmp_path / 'a.pth', tmp_path / 'out.pth')
