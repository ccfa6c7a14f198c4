"""What sees no text runs once per image, with the same outcome."""
import copy

import pytest
import torch
from mmengine.config import Config
from torch import nn

import mmrefseg
from mmrefseg.models.segmentors.image_sharing import per_expression
from mmrefseg.registry import MODELS

TEXTS = ('red circle', 'the big blue square on the left', 'a star', 'green')
INDEX = [0, 1, 0, 1]


class Plain(nn.Module):
    """A foreign backbone without text."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 96, 14, 14)

    def forward(self, x):
        return [self.conv(x)] * 3


class Counting(Plain):
    """A foreign backbone with text that offers nothing to share."""

    takes_text = True

    def forward(self, x, text):
        return tuple(y + text.sentence.mean() for y in super().forward(x))


def sera(tiny_config):
    return MODELS.build(tiny_config)


def segvlm(_):
    return MODELS.build(Config.fromfile(mmrefseg.config_path('segvlm_tiny_refshapes')).model)


def foreign(tiny_config):
    model = MODELS.build(tiny_config)
    model.backbone = Plain()
    return model


def foreign_with_text(tiny_config):
    model = MODELS.build(tiny_config)
    model.backbone = Counting()
    return model


def repeated(data):
    """The samples of a batch of two, each asked twice."""
    batch = {key: [copy.deepcopy(data[key][i]) for i in INDEX] for key in data}
    for sample, text, i in zip(batch['data_samples'], TEXTS, INDEX, strict=True):
        sample.set_metainfo(dict(text=text, shared_image=f'image {i}'))
    return batch


@pytest.mark.parametrize(('build', 'size'), [(sera, 56), (segvlm, 64), (foreign, 56), (foreign_with_text, 56)])
def test_same_outcome(build, size, tiny_config, make_batch):
    model, batch = build(tiny_config).eval(), repeated(make_batch(size=size))
    seen = []
    first = next(module for module in model.backbone.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_hook(lambda module, args, output: seen.append(len(output)))
    shared = model.data_preprocessor(copy.deepcopy(batch))
    assert shared['image_index'].tolist() == INDEX and len(shared['inputs']) == 2
    for sample in batch['data_samples']:
        sample.pop('shared_image')
    single = model.data_preprocessor(copy.deepcopy(batch))
    assert 'image_index' not in single and len(single['inputs']) == 4
    with torch.inference_mode():
        torch.testing.assert_close(model(**shared), model(**single), atol=1e-5, rtol=1e-5)
        assert seen == [4 if build is foreign_with_text else 2, 4]
        masks = [[sample.pred_sem_seg.data for sample in model(**data, mode='predict')] for data in (shared, single)]
    assert all(map(torch.equal, *masks))


def test_the_parts_together_are_forward(tiny_config, make_batch):
    for model, size in ((sera(tiny_config), 56), (segvlm(None), 64)):
        data = model.eval().data_preprocessor(make_batch(size=size))
        ids, mask = data['token_ids'], data['token_mask']
        maps, text, _ = model.extract_feat(data['inputs'], ids, mask)
        torch.testing.assert_close(
            model.answer(model.encode_image(data['inputs']), ids, mask), model.decode_head(maps, text))


def test_routing_of_shared_images(tiny_config, make_batch):
    model, batch = sera(tiny_config).eval(), repeated(make_batch())
    data = model.data_preprocessor(batch)
    routing = model.extract_feat(data['inputs'], data['token_ids'], data['token_mask'], data['image_index'])[2]
    assert {len(info.logits) for info in routing} == {4}


@pytest.mark.parametrize(('build', 'size'), [(sera, 56), (segvlm, 64), (foreign_with_text, 56)])
def test_features_to_train_on_are_those_of_repeated_images(build, size, tiny_config, make_batch):
    """What is ahead of the text runs once per image where the backbone can be parted, with the same gradient."""
    model, data = build(tiny_config).eval(), None
    data = model.data_preprocessor(repeated(make_batch(size=size)))
    arguments = data['token_ids'], data['token_mask']
    first = next(module for module in model.backbone.modules() if isinstance(module, nn.Conv2d))
    seen, gradients = [], []
    first.register_forward_hook(lambda module, args, output: seen.append(len(output)))
    outcomes = [model.extract_feat(data['inputs'], *arguments, data['image_index']),
                model.extract_feat(data['inputs'][data['image_index']], *arguments)]
    for maps, _, _ in outcomes:
        gradients.append(torch.autograd.grad(sum(x.square().mean() for x in maps), first.weight)[0])
    torch.testing.assert_close(*(maps for maps, _, _ in outcomes), atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(*(routing for _, _, routing in outcomes), strict=True):
        torch.testing.assert_close(ours.weights, theirs.weights)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)
    assert seen == ([2, 4] if build is sera else [4, 4])


def test_training_keeps_every_image(tiny_config, make_batch):
    data = sera(tiny_config).data_preprocessor(repeated(make_batch()), training=True)
    assert 'image_index' not in data and len(data['inputs']) == 4


def test_losses_of_shared_images(tiny_config, make_batch):
    model, batch = sera(tiny_config).eval(), repeated(make_batch())
    shared = model(**model.data_preprocessor(copy.deepcopy(batch)), mode='loss')
    single = model(**model.data_preprocessor(batch, training=True), mode='loss')
    torch.testing.assert_close(shared['decode.loss_ce'], single['decode.loss_ce'])


def test_pick_reaches_every_tensor():
    x = torch.arange(3)
    picked = per_expression((x, (x + 10, [x + 20])), torch.tensor([2, 0]))
    assert picked[0].tolist() == [2, 0] and picked[1][0].tolist() == [12, 10] and picked[1][1][0].tolist() == [22, 20]
