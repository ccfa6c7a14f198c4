"""The command that measures a config's model; no test asks for a time."""
import json
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from benchmarking.timing import ratio
from helpers.load_script import load_script
from mmengine.config import Config

from mmrefseg.apis.config_to_model import build_model, read_config
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.utils.collect_env import versions

QUICK = ('--device', 'cpu', '--warmup', '1', '--repeats', '2')


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    return load_script('tools/analysis_tools/benchmark.py')


@pytest.fixture
def command(tool, monkeypatch, tmp_path):

    def call(*arguments: object) -> dict:
        monkeypatch.setattr(sys, 'argv', ['benchmark.py', *map(str, arguments), '--out', str(tmp_path / 'out.json')])
        tool.main()
        return json.loads((tmp_path / 'out.json').read_text())

    return call


@pytest.mark.parametrize(('config', 'size'), [('segvlm_tiny_refshapes', 128), ('sera_tiny_refshapes', 112)])
def test_figures(command, capsys, config, size):
    figures = command(config, *QUICK)
    total = sum(p.numel() for p in build_model(read_config(config)).parameters())
    parts = figures['parameters']
    assert parts['whole model'] == {'total': total, 'trainable': total}
    assert set(parts) == {'text_encoder', 'backbone', 'neck', 'decode_head', 'whole model'}
    assert sum(count['total'] for count in parts.values()) == 2 * total
    assert (figures['device'], figures['batch'], figures['precision'], figures['compiled']) == (
        'cpu', 1, 'float32', False)
    assert (figures['input_size'], figures['original_size']) == ([size, size], [480, 640])
    assert set(figures['latency']) == {'network', 'prediction'}
    for times in figures['latency'].values():
        assert times['images_per_second'] == pytest.approx(1000 / times['median_ms'])
        assert 0 < times['fastest_ms'] <= times['first_quartile_ms'] <= times['median_ms'] <= times['third_quartile_ms']
    assert figures['peak_memory']['bytes'] > 4 * total
    assert figures['machine']['threads'] == torch.get_num_threads()
    assert figures['versions'] == versions()
    printed = capsys.readouterr().out
    assert all(text in printed for text in (f'{total:,}', f'input      {size}×{size}, batch 1, float32', '(480×640)'))


def test_operations_of_the_projectors_additions(command):
    """SegVLM's network beside CRIS's: offsets, residuals and squeeze-and-excitation, by hand."""
    projector = 'model.decode_head.projector.'
    options = [f'{projector}{name}' for name in ('dcn=None', 'residual=False', 'se_ratio=None')]
    full = command('segvlm_tiny_refshapes', *QUICK)['flops_per_image']
    plain = command('segvlm_tiny_refshapes', *QUICK, '--cfg-options', *options)['flops_per_image']
    width, (small, large) = 64, (16**2, 32**2)  # the decoder's map is 8×8
    offsets = 2 * 9 * 18 * width * (small + large)
    residuals = 2 * width * (width * small + width // 2 * large)
    excitation = 2 * 2 * 8 * (width + width // 2)
    assert full - plain == offsets + residuals + excitation


def test_batches_and_precision(command):
    """Operations are those of one image."""
    one = command('segvlm_tiny_refshapes', *QUICK)
    figures = command('segvlm_tiny_refshapes', *QUICK, '--batch', 2, '--amp')
    assert (figures['batch'], figures['precision']) == (2, 'bfloat16')
    assert figures['flops_per_image'] == one['flops_per_image']
    for times in figures['latency'].values():
        assert times['images_per_second'] == pytest.approx(2000 / times['median_ms'])


def test_compile_and_winograd_reach_the_network(tool, command, monkeypatch):
    done = []
    monkeypatch.setattr(torch.nn.Module, 'compile', lambda self: done.append(('compile', type(self).__name__)))
    monkeypatch.setattr(tool, 'use_winograd', lambda model: done.append(('winograd', type(model).__name__)))
    assert command('segvlm_tiny_refshapes', *QUICK, '--compile', '--winograd')['compiled']
    assert done == [('winograd', 'ReferringSegmentor'), ('compile', 'ReferringSegmentor')]


def test_several_configs_parts_and_training(tool, command, capsys, monkeypatch):
    monkeypatch.setattr(tool, 'training',
                        lambda model, data, compiled, amp: {'training step': lambda: len(data['inputs'])})
    phrases = 'segvlm_tiny_refshapes-phrasecut'
    figures = command('segvlm_tiny_refshapes', *QUICK, '--against', 'segvlm_tiny_refshapes', phrases, '--parts',
                      '--training')
    assert list(figures['against']) == [phrases], 'a config against itself tells nothing'
    other = figures['against'][phrases]
    assert figures['flops_per_image'] == other['flops_per_image']
    assert list(figures['training']) == list(other['training']) == ['training step']
    assert set(figures['parts']) == {'text_encoder', 'backbone', 'neck', 'decode_head'}
    assert set(figures['ratios'].values()) == {1}
    assert other['ratios'].keys() == figures['ratios'].keys() >= {'network', 'prediction', '8 expressions', 'backbone'}
    assert all(value > 0 for value in other['ratios'].values())
    rates, times = figures['expressions_per_second'], figures['latency']['network']
    assert rates['1'] == pytest.approx(times['images_per_second']) and rates['8'] > 0
    reached = figures['flops_per_image'] * times['images_per_second']
    assert figures['share_of_limit'] == pytest.approx(reached / figures['product_limit'])
    assert figures['training']['training step']['images_per_second'] == pytest.approx(
        2000 / figures['training']['training step']['median_ms'])
    printed = capsys.readouterr().out
    assert 'times as long as the first' in printed and 'training   ' in printed and 'parts      text_encoder' in printed


def test_training_steps_change_nothing(tool):
    """Steps of size 0, and the model answers as before."""
    config = read_config('segvlm_tiny_refshapes')
    model = tool.build_measured(config).eval()
    calls = tool.training(model, tool.make_batch(config, 2), compiled=False, amp=True)
    assert list(calls) == ['training step', 'training step, bfloat16']
    weights = {name: p.clone() for name, p in model.named_parameters()}
    for call in calls.values():
        call()
    assert not model.training and all(torch.equal(p, weights[name]) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


def test_evaluation_of_made_data(tool, tmp_path):
    make_refshapes(tmp_path, {'val': 3})
    config = read_config('segvlm_tiny_refshapes', {
        'test_dataloader.dataset.data_root': str(tmp_path), 'test_dataloader.dataset.split': 'val',
        'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False})
    found = tool.measure_evaluation(tool.build_measured(config).eval(), config, amp=False)
    assert found['expressions'] > 5
    assert found['expressions_per_second'] == pytest.approx(found['expressions'] / found['seconds'])


def test_ratios_are_those_of_rounds():
    assert ratio([2, 30, 8], [1, 10, 2]) == 3


def test_median_and_quartiles(tool):
    times = tool.latency([0.5, 0.1, 0.2, 0.3, 0.4], batch=6)
    assert times == pytest.approx(dict(median_ms=300, fastest_ms=100, first_quartile_ms=200,
                                       third_quartile_ms=400, images_per_second=20))


def test_warm_up_does_not_count(tool):
    order = []
    calls = {name: lambda name=name: order.append(name) for name in 'ab'}
    seconds = tool.time_calls(calls, torch.device('cpu'), warmup=3, repeats=4)
    assert {name: len(values) for name, values in seconds.items()} == {'a': 4, 'b': 4}
    assert order == ['a', 'b'] * 7


def test_batches_are_as_the_pipeline_makes_them(tool):
    config = read_config('segvlm_tiny_refshapes')
    before = config.pretty_text
    batch = tool.make_batch(config, 2)
    assert [tuple(image.shape) for image in batch['inputs']] == [(3, 128, 128)] * 2
    assert not np.array_equal(*batch['inputs'])
    assert [sample.text for sample in batch['data_samples']] == [tool.EXPRESSION] * 2
    assert config.pretty_text == before


@pytest.mark.parametrize(('arguments', 'message'), [
    (('no_such_config', ), "mmrefseg has no config 'no_such_config'"),
    (('_base_/datasets/refshapes', ), 'has no model'),
    (('deformable-se-projector_fcn-r18_cityscapes', ), 'is a EncoderDecoder; only a ReferringSegmentor'),
    (('segvlm_tiny_refshapes', '--device', 'gpu'), "'gpu' is no device"),
    (('segvlm_tiny_refshapes', '--batch', '0'), '--batch is 0; it must be at least 1'),
    (('segvlm_tiny_refshapes', '--warmup', '0'), '--warmup is 0; it must be at least 1'),
    (('segvlm_tiny_refshapes', '--repeats', '1'), '--repeats is 1; it must be at least 2'),
    (('segvlm_tiny_refshapes', '--cfg-options', 'model.decode_head.projector.dcn=v3'), "dcn is 'v3'; it must be"),
    (('segvlm_tiny_refshapes', '--cfg-options', 'model.neck.type=NoSuchNeck'), "type='NoSuchNeck' names no model"),
], ids=['config', 'part', 'other model', 'device', 'batch', 'warm-up', 'repeats', 'setting', 'unknown part'])
def test_mistakes_get_a_message(command, arguments, message):
    with pytest.raises(SystemExit, match=f'^benchmark: .*{message}'):
        command(*arguments)


def test_no_test_pipeline(tool):
    with pytest.raises(ValueError, match='no test_dataloader.dataset.pipeline'):
        tool.make_batch(Config({'model': {}}), 1)
