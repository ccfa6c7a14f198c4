"""The command that converts DETRIS's official checkpoints."""
import re
from functools import partial

import pytest
from helpers.golden import read_golden

import mmrefseg
from mmrefseg.checkpoints.reading import load_from_local


@pytest.fixture
def command(run_converter):
    return partial(run_converter, 'detris_to_mmrefseg')


@pytest.fixture
def shapes(golden_folder):
    def read(size):
        return read_golden(golden_folder / f'detris_{size}.npz').meta['state_dict']
    return read


def adapter_shapes(block, width, channels, text_adapter):
    """The adapter of the official code for a bottleneck of any width; its attention is 128 wide at any."""
    half, quarter, reduced = channels // 2, channels // 4, channels // 16
    layers = {'1': (half, channels, 1), '2.0': (reduced, channels + half, 1), '2.1': (quarter, reduced, 3),
              '3.0': (reduced, channels + half + quarter, 1), '3.1': (quarter, reduced, 5)}
    shapes = {}
    for name, (outputs, inputs, size) in layers.items():
        name = f'{block}.adapter.dense_branch{name}'
        shapes |= {f'{name}.conv.weight': (outputs, inputs, *(size, ) * (1 if text_adapter else 2)),
                   f'{name}.bn.num_batches_tracked': ()}
        shapes |= {f'{name}.{rest}': (outputs, )
                   for rest in ('conv.bias', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var')}
    linear = {'D_fc1': (channels, width), 'D_fc2': (width, channels)}
    if not text_adapter:
        linear |= {'cross.image_proj': (128, channels), 'cross.text_proj': (128, 512),
                   'cross.back_proj': (channels, 128), 'cross.multihead_attn.out_proj': (128, 128)}
        shapes |= {f'{block}.adapter.cross.multihead_attn.in_proj_weight': (384, 128),
                   f'{block}.adapter.cross.multihead_attn.in_proj_bias': (384, )}
    for name, shape in linear.items():
        shapes |= {f'{block}.adapter.{name}.weight': shape, f'{block}.adapter.{name}.bias': shape[:1]}
    return shapes


def with_adapters(shapes, text_blocks, text_channels, blocks, channels):
    shapes = {name: tuple(shape) for name, shape in shapes.items() if '.adapter.' not in name}
    for i in text_blocks:
        shapes |= adapter_shapes(f'txt_backbone.transformer.resblocks.{i}', 512, text_channels, text_adapter=True)
    for i in blocks:
        shapes |= adapter_shapes(f'dinov2.blocks.{i}', 1024, channels, text_adapter=False)
    return shapes


def test_a_checkpoint_of_training(command, save_official, as_trained, tmp_path, shapes, capsys):
    source = save_official(tmp_path / 'best_model.pth', shapes('b'), as_trained, 'module.')
    command(source, tmp_path / 'new' / 'detris.pth')
    told = capsys.readouterr().out
    assert 'configs/detris/detris_dinov2_refcoco.py' in told
    assert '6 left out or cut: state of the training (best_iou, cur_iou, …)' in told
    assert '2 left out or cut: used in the pretraining' in told
    assert '(txt_backbone.logit_scale, dinov2.mask_token)' in told
    assert '60 left out or cut: folded into the running mean' in told
    converted = load_from_local(str(tmp_path / 'new' / 'detris.pth'))
    assert converted['meta'] == dict(mmrefseg_version=mmrefseg.__version__, converted_from='best_model.pth')
    weights = converted['state_dict']
    assert {name.split('.')[0] for name in weights} == {'text_encoder', 'backbone', 'neck', 'decode_head'}
    assert weights['neck.project.2.conv.weight'].shape == (512, 768, 1, 1)


def test_large(command, save_official, tmp_path, shapes, capsys):
    command(save_official(tmp_path / 'large.pth', shapes('l')), tmp_path / 'out.pth')
    assert 'configs/detris/detris_dinov2-large_refcoco.py' in capsys.readouterr().out


def test_large_mixed(command, save_official, tmp_path, shapes, capsys):
    large = {name: tuple(shape) for name, shape in shapes('l').items()}
    assert with_adapters(large, range(1, 12, 2), 64, range(2, 23, 4), 128) == large
    mixed = with_adapters(large, range(1, 12), 384, range(1, 24), 384)
    command(save_official(tmp_path / 'mixed.pth', mixed), tmp_path / 'out.pth')
    assert 'configs/detris/detris_dinov2-large_refcoco-mixed.py' in capsys.readouterr().out


def test_incomplete_weights_are_refused(command, save_official, tmp_path, shapes):
    few = {name: shape for name, shape in shapes('b').items() if name != 'decoder.norm.bias'}
    source = save_official(tmp_path / 'few.pth', few)
    with pytest.raises(SystemExit, match=r'(?s)few\.pth.*detris_dinov2_refcoco\.py.* 1 .*missing there: decode_head'):
        command(source, tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


def test_a_config_of_ones_own(command, save_official, tmp_path, shapes):
    source = save_official(tmp_path / 'base.pth', shapes('b'))
    config = mmrefseg.config_path('detris_dinov2-large_refcoco')
    with pytest.raises(SystemExit, match=re.escape(f'compared with {config}')):
        command(source, tmp_path / 'out.pth', '--config', config)


def test_other_files_are_refused(command, save_official, tmp_path):
    source = save_official(tmp_path / 'cris.pth', {'backbone.visual.conv1.weight': (2, ), 'proj.txt.bias': (2, )})
    with pytest.raises(SystemExit, match=r'cris\.pth is no checkpoint of DETRIS'):
        command(source, tmp_path / 'out.pth')
    (tmp_path / 'text.pth').write_text('hello')
    with pytest.raises(SystemExit, match=r'text\.pth is no PyTorch checkpoint'):
        command(tmp_path / 'text.pth', tmp_path / 'out.pth')
    with pytest.raises(SystemExit, match=r'no checkpoint .*nowhere\.pth'):
        command(tmp_path / 'nowhere.pth', tmp_path / 'out.pth')
    with pytest.raises(SystemExit, match='is a file that is read'):
        command(source, source)
    assert not (tmp_path / 'out.pth').exists()
