"""What the configs of CRIS set, beyond the table."""
import pytest
import torch
from helpers.configs import FOLDER, build, load
from mmengine.config import Config

from mmrefseg.registry import MODELS


@pytest.mark.parametrize(('name', 'size', 'depths', 'channels'), [
    ('cris_r50_refcoco', '50', (3, 4, 6, 3), 1024), ('cris_r101_refcoco', '101', (3, 4, 23, 3), 512)])
def test_published_values(name, size, depths, channels):
    config, model = load(name).model, build(name)
    backbone, text, neck, head = model.backbone, model.text_encoder, model.neck, model.decode_head
    for encoder in (config.text_encoder, config.backbone):
        assert encoder.arch == f'RN{size}-quickgelu'
        assert encoder.init_cfg.checkpoint == f'pretrained/resnet{size}_clip.openai/open_clip_model.safetensors'
    assert tuple(len(getattr(backbone.tower, f'layer{i}')) for i in range(1, 5)) == depths
    assert backbone.tower.attnpool.positional_embedding.shape == (7 * 7 + 1, 2048)
    assert (text.channels, text.sentence_channels) == (512, channels)
    assert type(text.tower.transformer.resblocks[0].mlp.gelu).__name__ == 'QuickGELU'
    assert len(text.adapters) == 0
    assert [project.conv.in_channels for project in neck.project] == [512, 1024, channels]
    assert [project.conv.out_channels for project in neck.project] == [256, 512, 1024]
    assert (len(head.decoder.layers), head.decoder.layers[0].ffn[0].out_features) == (3, 2048)
    assert (head.decoder.layers[0].self_attention.num_heads, head.decoder.layers[0].dropout.p) == (8, 0.1)
    assert [loss.loss_name for loss in head.loss_decode] == ['loss_ce']
    assert model.test_cfg['threshold'] == 0.35
    assert all(p.requires_grad for p in model.parameters())
    with torch.device('meta'):
        text = model.text_encoder(torch.zeros(2, 17, dtype=torch.long), torch.ones(2, 17, dtype=torch.bool))
        maps = model.backbone(torch.zeros(2, 3, 416, 416))
        assert model.decode_head(model.neck(maps, text), text).shape == (2, 1, 104, 104)


def test_the_small_model_of_the_readme(tmp_path):
    snippet = (FOLDER / 'cris/README.md').read_text().split('```python\n')[1].split('```')[0]
    (tmp_path / 'small.py').write_text(snippet)
    model = MODELS.build(Config.fromfile(tmp_path / 'small.py').model)
    words = torch.ones(2, 17, dtype=torch.long)
    assert model(torch.randn(2, 3, 128, 128), token_ids=words, token_mask=words.bool()).shape == (2, 1, 32, 32)
