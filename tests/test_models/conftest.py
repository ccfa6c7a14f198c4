from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from torch import nn

import mmrefseg
from mmrefseg.models import TextFeatures
from mmrefseg.structures import RefSegDataSample


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    """The default scope of mmrefseg's configs, and the same random numbers for every test."""
    mmrefseg.register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


@pytest.fixture
def make_text() -> Callable[..., TextFeatures]:
    """Random text features whose n-th expression has ``lengths[n]`` real tokens."""

    def make(channels: int, lengths: tuple[int, ...] = (3, 5), num_tokens: int = 5) -> TextFeatures:
        mask = torch.arange(num_tokens) < torch.tensor(lengths)[:, None]
        batch = len(lengths)
        return TextFeatures(torch.randn(batch, num_tokens, channels), mask, torch.randn(batch, channels))

    return make


@pytest.fixture
def count_saved() -> Callable[..., int]:
    """Run something; bytes that autograd keeps for the backward pass, but for those of the model's parameters."""

    def count(run: Callable[[], object], model: nn.Module) -> int:
        own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        saved = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            run()
        return sum(storage.nbytes() for pointer, storage in saved.items() if pointer not in own)

    return count


@pytest.fixture
def tiny_config() -> dict:
    """The tiny model's config without what the quick start adds, made smaller still."""
    config = Config.fromfile(mmrefseg.config_path('_base_/models/sera_tiny.py'))
    config.merge_from_dict({
        'model.backbone.img_size': 56,
        'model.decode_head.num_layers': 1,
        'model.text_encoder.num_tokens': 8,
    })
    return config.model


@pytest.fixture
def make_batch() -> Callable[..., dict]:
    """Raw data of square images of ``size`` pixels: a disc of random place each, and an expression."""

    def make(texts: tuple[str, ...] = ('red circle', 'the big blue square on the left'), size: int = 56) -> dict:
        rng = np.random.default_rng(0)
        rows, columns = np.mgrid[:size, :size]
        data = dict(inputs=[], data_samples=[])
        for text in texts:
            y, x = rng.uniform(0.3, 0.7, 2) * size
            mask = (rows - y)**2 + (columns - x)**2 < (size / 4)**2
            image = rng.integers(0, 100, (3, size, size)) + 100 * mask
            sample = RefSegDataSample(
                gt_sem_seg=PixelData(data=torch.from_numpy(mask.astype(np.uint8))[None]),
                metainfo=dict(text=text, ori_shape=(size, size), img_shape=(size, size), warp_matrix=np.eye(2, 3),
                              img_padding_size=(0, 0, 0, 0), scale_factor=(1.0, 1.0)))
            data['inputs'].append(torch.from_numpy(image.astype(np.uint8)))
            data['data_samples'].append(sample)
        return data

    return make
