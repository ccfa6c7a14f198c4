"""What is measured of a model: calls without arguments, by name."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from torch import Tensor

from mmrefseg.apis.config_to_model import build_model, inference_pipeline
from mmrefseg.apis.config_to_runner import mixed_precision_dtype
from mmrefseg.errors import InputError
from mmrefseg.models import ReferringSegmentor
from mmrefseg.models.segmentors.image_sharing import parts_in_row, takes_text

IMAGE_SIZE = (480, 640)  # height and width of most of COCO's images
EXPRESSION = 'the tall man in a red shirt on the left'
SHARING = 8
NETWORK, PREDICTION, SHARED = 'network', 'prediction', f'{SHARING} expressions'
TRAINING = 'training step'
CALL_MEANING = {
    NETWORK: 'from prepared tensors to logits',
    PREDICTION: 'from resized images and expressions to masks at original size: normalisation, tokens, network and '
                'post-processing',
    SHARED: f'network, with {SHARING} expressions about each image, which is encoded once',
    TRAINING: 'forward pass with losses, backward pass and a step of Adam',
}

Call = Callable[[], object]


def build_measured(config: Config) -> ReferringSegmentor:
    """Build the model of a config as it is measured: with random weights.

    Raises:
        InputError: it answers no expressions.
    """
    model = build_model(config)
    if not isinstance(model, ReferringSegmentor):
        raise InputError(f'the model of {config.filename} is a {type(model).__name__}; only a ReferringSegmentor can '
                         'be measured, as others take no expressions')
    return model


def make_batch(config: Config, size: int) -> dict[str, list]:
    """Made-up images and an expression, as the config's test pipeline hands them over."""
    pipeline, random = inference_pipeline(config), np.random.default_rng(0)
    samples = [
        pipeline({'img': random.integers(0, 256, (*IMAGE_SIZE, 3), np.uint8), 'img_shape': IMAGE_SIZE,
                  'ori_shape': IMAGE_SIZE, 'text': EXPRESSION}) for _ in range(size)
    ]
    return {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}


def under(call: Call, amp: bool, device: torch.device) -> Call:
    """A call without gradients, under mixed precision where that is asked for."""

    @torch.no_grad()
    def run() -> None:
        with torch.autocast(device.type, mixed_precision_dtype(), enabled=amp):
            call()

    return run


def answering(model: ReferringSegmentor, data: dict[str, Any], amp: bool) -> dict[str, Call]:
    """Network, prediction, and the network with several expressions per image."""
    prepared = model.data_preprocessor(data)
    inputs, device = prepared['inputs'], prepared['inputs'].device
    shared = {'inputs': inputs, 'image_index': torch.arange(len(inputs), device=device).repeat_interleave(SHARING),
              **{key: prepared[key].repeat_interleave(SHARING, dim=0) for key in ('token_ids', 'token_mask')}}
    calls = {NETWORK: partial(model, **prepared, mode='tensor'), PREDICTION: partial(model.test_step, data),
             SHARED: partial(model, **shared, mode='tensor')}
    return {name: under(call, amp, device) for name, call in calls.items()}


def parts(model: ReferringSegmentor, data: dict[str, Any], amp: bool) -> dict[str, Call]:
    """Text encoder, backbone, neck and head, each with what comes from the one before."""
    prepared = model.data_preprocessor(data)
    x: Tensor | tuple[Tensor, ...] = prepared['inputs']
    device = prepared['inputs'].device
    calls: dict[str, Call] = {'text_encoder': partial(model.text_encoder, prepared['token_ids'],
                                                      prepared['token_mask'])}
    with torch.no_grad(), torch.autocast(device.type, mixed_precision_dtype(), enabled=amp):
        text = calls['text_encoder']()
        for name in ('backbone', 'neck', 'decode_head'):
            for number, step in enumerate(parts_in_row(getattr(model, name))):
                call = partial(step, x, text) if takes_text(step) else partial(step, x)
                calls[f'{name}.{number}' if number else name] = call
                x = call()
    return {name: under(call, amp, device) for name, call in calls.items()}


def training(model: ReferringSegmentor, data: dict[str, Any], compiled: bool, amp: bool) -> dict[str, Call]:
    """A training step in float32, also under mixed precision if asked for, and each again with a compiled model."""
    size = tuple(data['inputs'][0].shape[-2:])
    masks = torch.zeros(1, *size, dtype=torch.uint8)
    masks[:, :size[0] // 2, :size[1] // 2] = 1
    for sample in data['data_samples']:
        sample.gt_sem_seg = PixelData(data=masks)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.0)
    calls = {}
    for way, forward in {'': model.forward, **({', compiled': model} if compiled else {})}.items():
        for mixed in (False, True) if amp else (False, ):
            precision = f', {mixed_precision_dtype()}'.replace('torch.', '') if mixed else ''
            calls[f'{TRAINING}{precision}{way}'] = partial(_step, model, forward, data, optimizer, mixed)
    return calls


def _step(model: ReferringSegmentor, forward: Callable[..., dict], data: dict[str, Any],
          optimizer: torch.optim.Optimizer, amp: bool) -> None:
    model.train()
    prepared = model.data_preprocessor(data, training=True)
    with torch.autocast(prepared['inputs'].device.type, mixed_precision_dtype(), enabled=amp):
        loss = model.parse_losses(forward(**prepared, mode='loss'))[0]
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    model.eval()
