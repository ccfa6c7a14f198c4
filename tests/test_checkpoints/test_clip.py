from pathlib import Path

import open_clip
import pytest
import torch

from mmrefseg.checkpoints.clip import find_clip_config, read_clip_weights

STATE = {'visual.conv1.weight': torch.ones(2), 'logit_scale': torch.ones(())}


def read(tmp_path, content):
    path = tmp_path / 'clip.pt'
    torch.save(content, path)
    state, source = read_clip_weights(dict(embed_dim=4), str(path))
    assert source == str(path)
    return state


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: dict(epoch=1, name='run', state_dict=state),
    lambda state: dict(state_dict={f'module.{name}': value for name, value in state.items()}),
    lambda state: {**state, **{name: torch.tensor(7) for name in ('input_resolution', 'context_length', 'vocab_size')}},
], ids=['weights', 'training', 'several processes', 'OpenAI'])
def test_forms_of_files(tmp_path, wrap):
    state = read(tmp_path, wrap(STATE))
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], value) for name, value in STATE.items())


def test_configs():
    config = find_clip_config('RN101-quickgelu')
    assert (config['embed_dim'], config['quick_gelu'], config['vision_cfg']['layers']) == (512, True, [3, 4, 23, 3])
    own = dict(embed_dim=4)
    assert find_clip_config(own) is own
    with pytest.raises(ValueError, match=r"no architecture 'RN-7'.*list_models"):
        find_clip_config('RN-7')


def test_tags_of_open_clip(tmp_path, monkeypatch):
    asked = []
    path = tmp_path / 'clip.pt'
    torch.save(STATE, path)
    monkeypatch.setattr(open_clip, 'download_pretrained', lambda config: asked.append(config) or str(path))
    assert read_clip_weights('RN50-quickgelu', 'openai')[0].keys() == STATE.keys()
    assert asked == [open_clip.get_pretrained_cfg('RN50-quickgelu', 'openai')]


def test_missing_file():
    with pytest.raises(ValueError, match=r"no-such-tag'.*no such weights for 'RN50-quickgelu': it has openai, "):
        read_clip_weights('RN50-quickgelu', 'no-such-tag')
    with pytest.raises(FileNotFoundError) as error:
        read_clip_weights(dict(embed_dim=4), 'pretrained/resnet50_clip.openai/open_clip_model.safetensors')
    assert 'embed_dim' not in str(error.value)
    for words in ('CLIP needs the weights pretrained/', str(Path.cwd() / 'pretrained'), 'mmrefseg weights '):
        assert words in str(error.value)
