import io
import json
import pickle
import re
import shutil
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.toy_runner import toy_runner
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import nn

import mmrefseg  # noqa: F401


class Trap:
    """Leaves a file behind if it is ever unpickled by a careless reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path, )


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')


@pytest.fixture
def trap(tmp_path):
    yield Trap(tmp_path / 'sprung')
    assert not (tmp_path / 'sprung').exists()


@pytest.mark.parametrize('zipped', [True, False])
def test_plain_weights(tmp_path, zipped):
    weights = {'state_dict': nn.Linear(2, 3).state_dict(), 'meta': {'epoch': 3}}
    torch.save(weights, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    loaded = load(tmp_path / 'a.pth')
    assert loaded['meta'] == {'epoch': 3}
    assert torch.equal(loaded['state_dict']['weight'], weights['state_dict']['weight'])


def test_safetensors(tmp_path):
    weights = nn.Linear(2, 3).state_dict()
    path = tmp_path / 'a.safetensors'
    safetensors.torch.save_file(weights, path)
    assert torch.equal(load(path)['weight'], weights['weight'])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r'a\.safetensors is truncated'):
        load(path)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('make', [
    lambda trap: trap,
    lambda trap: nn.Linear(2, 2),
    lambda trap: {'method': nn.Linear.forward},
    lambda trap: {'array': np.array([trap], dtype=object)},
])
def test_other_classes_are_refused_by_name(tmp_path, trap, make, zipped):
    path = tmp_path / 'bad.pth'
    torch.save({'state_dict': {}, 'extra': make(trap)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r'bad\.pth holds (pathlib|posixpath|torch\.nn|numpy|builtins)\S*, which') as e:
        load(path)
    assert 'weights_only' not in str(e.value)
    assert 'add_safe_globals' not in str(e.value)


@pytest.mark.parametrize('owner', [HistoryBuffer, torch.Tensor, [], 'text'])
def test_getattr_gives_no_other_methods(tmp_path, owner):
    class Method:
        def __reduce__(self):
            return getattr, (owner, '__init__')

    torch.save({'method': Method()}, tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match=r'holds \w+\.__init__, which|holds torch\S+, which'):
        load(tmp_path / 'bad.pth')


def test_old_configs_are_not_run(tmp_path):
    """mmengine runs ``meta['config']`` as Python when it resumes."""
    torch.save({'state_dict': {}, 'meta': {'config': 'raise SystemExit', 'iter': 1}}, tmp_path / 'a.pth')
    assert load(tmp_path / 'a.pth')['meta'] == {'iter': 1}


def test_missing(tmp_path):
    (tmp_path / 'iter_200.pth').touch()
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(FileNotFoundError, match=r'iter_2000\.pth: there is no such file.*holds iter_200\.pth$'):
        load(tmp_path / 'iter_2000.pth')
    with pytest.raises(FileNotFoundError, match=r'it is a folder'):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'there is no folder .*nowhere'):
        load(tmp_path / 'nowhere' / 'a.pth')


def test_truncated(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': nn.Linear(20, 20).state_dict()}, path)
    whole = path.read_bytes()
    for length in (4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r'a\.pth is truncated'):
            load(path)


def test_truncated_in_the_older_format(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': nn.Linear(20, 20).state_dict()}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in range(2, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r'a\.pth (cannot be read|is damaged)'):
            load(path)


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'is empty'),
    (b'version https://git-lfs.github.com/spec/v1', 'is no PyTorch checkpoint'),
    (b'<html>', 'is no PyTorch checkpoint'),
])
def test_other_files(tmp_path, content, message):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / 'a.pth')


def test_other_archives(tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'file').touch()
    archive = shutil.make_archive(str(tmp_path / 'a'), 'zip', tmp_path / 'folder')
    with pytest.raises(ValueError, match='is no PyTorch checkpoint'):
        load(archive)


def test_other_pickles(tmp_path, trap):
    pickles = [pickle.dumps(content, protocol=2) for content in ({'a': 1}, trap)]
    for content in (*pickles, b'\x80\x02.', b'\x80\x02h\x05.'):
        (tmp_path / 'a.pth').write_bytes(content)
        with pytest.raises(ValueError, match=r'a\.pth (cannot be read|is damaged|holds)'):
            load(tmp_path / 'a.pth')


def test_content_must_be_a_dict(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='holds a list; expected was a dict'):
        load(tmp_path / 'a.pth')


def test_torchscript(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / 'ViT-B-16.pt'))
    with pytest.raises(ValueError, match=r'TorchScript archive.*safetensors.*timm/vit_base_patch16_clip_224\.openai'):
        load(tmp_path / 'ViT-B-16.pt')


@pytest.mark.parametrize('scheme', ['https://example.org/a.pth', 'torchvision://resnet18'])
def test_downloads_are_read_the_same_way(tmp_path, monkeypatch, trap, scheme):
    served = io.BytesIO()
    torch.save({'trap': trap}, served)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, path, progress: Path(path).write_bytes(
        served.getvalue()))
    with pytest.raises(ValueError, match=r'\.pth holds pathlib\S*, which'):
        load(scheme)
    assert len(list((tmp_path / 'checkpoints').iterdir())) == 1


def test_a_download_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(OSError, match=r':9/a\.pth\?b=1 cannot be downloaded to \S+/checkpoints/a\.pth '):
        load('http://127.0.0.1:9/a.pth?b=1')


SCHEDULERS = [
    dict(type='LinearLR', start_factor=0.5), dict(type='MultiStepLR', milestones=[2, 3]), dict(type='PolyLR'),
    dict(type='CosineAnnealingLR', T_max=4), dict(type='OneCycleLR', eta_max=0.1, total_steps=10)]


@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('number', [float, np.float32, np.float64])
def test_resuming_what_mmengine_saved(tmp_path, by_epoch, number):
    checkpoint = dict(type='CheckpointHook', interval=1 if by_epoch else 2, by_epoch=by_epoch, save_best='mIoU')

    def train(name, scores, **kwargs):
        schedulers = [dict(scheduler, by_epoch=by_epoch) for scheduler in SCHEDULERS]
        runner = toy_runner(
            tmp_path / name, scores=[number(score) for score in scores], by_epoch=by_epoch, param_scheduler=schedulers,
            default_hooks=dict(checkpoint=checkpoint), custom_hooks=[dict(type='EMAHook')], **kwargs)
        runner.train()
        return runner

    whole = train('whole', [50, 60])
    halfway = tmp_path / 'whole' / ('epoch_1.pth' if by_epoch else 'iter_2.pth')
    resumed = train('resumed', [60], resume=True, load_from=str(halfway))
    assert resumed.iter == whole.iter
    assert torch.equal(resumed.model.linear.weight, whole.model.linear.weight)
    assert resumed.message_hub.get_info('best_score') == 60
    losses, expected = (runner.message_hub.get_scalar('train/loss') for runner in (resumed, whole))
    assert losses.data[0].tolist() == expected.data[0].tolist()
    assert losses.statistics('mean') == expected.statistics('mean')


@pytest.mark.parametrize('place', [b'numpy.core.', b'numpy._core.'])
def test_arrays_of_either_numpy(tmp_path, place):
    saved = {'score': np.float64(0.5), 'losses': np.arange(3.0)}
    torch.save(saved, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    names = re.compile(rb'numpy\.(_core|core)\.')
    content, count = names.subn(place, (tmp_path / 'a.pth').read_bytes())
    assert count == 2
    (tmp_path / 'a.pth').write_bytes(content)
    loaded = load(tmp_path / 'a.pth')
    assert loaded['score'] == 0.5
    assert loaded['losses'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('zipped', [True, False])
def test_a_parameter_that_is_one_number(tmp_path, zipped):
    """CLIP's temperature, saved as named_parameters give it."""
    torch.save({'logit_scale': torch.nn.Parameter(torch.tensor(4.6))}, tmp_path / 'a.pth',
               _use_new_zipfile_serialization=zipped)
    assert load(tmp_path / 'a.pth')['logit_scale'].item() == pytest.approx(4.6)


def test_numbers_that_nothing_converts(tmp_path):
    header = json.dumps({'weight': {'dtype': 'F4', 'shape': [1, 2], 'data_offsets': [0, 1]}}).encode()
    (tmp_path / 'a.safetensors').write_bytes(struct.pack('<Q', len(header)) + header + b'\x12')
    with pytest.raises(ValueError, match="'weight' as torch.float4_e2m1fn_x2, which holds several numbers"):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'a.safetensors'))
