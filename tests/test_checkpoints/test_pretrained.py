import pytest
from mmengine.config import Config

from mmrefseg.checkpoints.pretrained import is_tag, require_files, require_weights, source_of, weight_files
from mmrefseg.models import PlainViT


@pytest.mark.parametrize(('path', 'address'), [
    ('pretrained/dinov2_vitb14_reg4_pretrain.pth',
     'https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth'),
    ('/weights/dinov2_vitg14_pretrain.pth',
     'https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/dinov2_vitg14_pretrain.pth'),
    ('pretrained/resnet101_clip.openai/open_clip_model.safetensors',
     'https://huggingface.co/timm/resnet101_clip.openai/resolve/main/open_clip_model.safetensors'),
    ('pretrained/vit_base_patch16_clip_224.openai/open_clip_model.safetensors',
     'https://huggingface.co/timm/vit_base_patch16_clip_224.openai/resolve/main/open_clip_model.safetensors'),
    ('pretrained/my_dinov2.pth', None),
    ('open_clip_model.safetensors', None),
    ('https://example.org/dinov2_vitb14_pretrain.pth', None),
])
def test_sources(path, address):
    assert source_of(path) == address


def test_weight_files_at_any_depth():
    config = Config(dict(model=dict(
        a=dict(init_cfg=dict(type='Pretrained', checkpoint='one.pth')),
        b=[dict(init_cfg=[dict(type='Kaiming'), dict(type='Pretrained', checkpoint='two.pth')])])))
    assert list(weight_files(config.model)) == [('model.a.init_cfg', 'one.pth'), ('model.b.0.init_cfg', 'two.pth')]


@pytest.mark.parametrize(('name', 'expected'), [
    ('openai', True), ('laion2b_s34b_b79k', True), ('weights.pth', False), ('pretrained/weights', False),
    ('https://example.org/weights.pth', False), ('torchvision://resnet50', False), ('here', False)])
def test_tags(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').touch()
    assert is_tag(name) is expected


def test_all_missing_files_of_a_config_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there.pth').touch()
    files = ['mine.pth', 'there.pth', 'openai', 'https://example.org/a.pth', 'dinov2_vitb14_pretrain.pth']
    parts = [dict(init_cfg=dict(type='Pretrained', checkpoint=file)) for file in files]
    (tmp_path / 'config.py').write_text(f'model = dict(parts={parts})')
    with pytest.raises(FileNotFoundError) as error:
        require_files(Config.fromfile('config.py'))
    first, second = str(error.value).splitlines()
    assert first.startswith(f'model.parts.0 needs the weights mine.pth, but there is no file {tmp_path}/mine.pth. Put')
    assert 'mmrefseg weights config.py' in second and 'model.parts.4.init_cfg=None' in second
    require_files(Config(dict(model=dict(parts=parts[1:4]))))


def test_missing_weights_stop_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = 'pretrained/dinov2_vits14_reg4_pretrain.pth'
    model = PlainViT(embed_dim=16, depth=1, num_heads=2, img_size=28, init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(FileNotFoundError) as error:
        model.init_weights()
    for words in ('PlainViT', str(tmp_path / path), source_of(path), 'mmrefseg weights ', 'init_cfg=None'):
        assert words in str(error.value)
    require_weights('https://example.org/weights.pth', 'PlainViT')
    with pytest.raises(FileNotFoundError, match=r'mine\.pth.*name another in init_cfg'):
        require_weights('mine.pth', 'PlainViT')
