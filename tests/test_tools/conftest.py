import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from helpers.configs import build_model
from helpers.load_script import load_script
from torch import Tensor

from mmrefseg.apis import RefSegInferencer, checkpoint_conversion


@pytest.fixture(scope='session')
def weights(tmp_path_factory) -> str:
    """A file of random weights for sera_tiny_refshapes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'weights.pth'
    torch.save(RefSegInferencer('sera_tiny_refshapes', None, 'cpu').model.state_dict(), path)
    return str(path)


@pytest.fixture
def run_converter(monkeypatch) -> Callable[..., None]:
    """Run a command of tools/model_converters by its name, with arguments."""

    def run(name: str, *arguments: object) -> None:
        tool = load_script(f'tools/model_converters/{name}.py')
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        # Every conversion compares with the models of the same few configs.
        monkeypatch.setattr(checkpoint_conversion, 'build_model', lambda config: build_model(config.model))
        tool.main()

    return run


@pytest.fixture
def save_official() -> Callable[..., Path]:
    """Write a full-size checkpoint that takes no room, all weights being one zero; returns its path."""

    def save(path: Path, shapes: Mapping[str, Sequence[int]], wrap: Callable = dict, prefix: str = '') -> Path:
        zero = torch.zeros(())
        torch.save(wrap({prefix + name: zero.expand(tuple(shape)) for name, shape in shapes.items()}), path)
        return path

    return save


@pytest.fixture
def as_trained() -> Callable[[dict[str, Tensor]], dict]:
    """What the training scripts of CRIS and DETRIS save around the weights."""

    def wrap(state: dict[str, Tensor]) -> dict:
        weights = [torch.nn.Parameter(torch.zeros(2))]
        optimizer = torch.optim.Adam([dict(params=weights, initial_lr=1e-4)], lr=1e-4)
        weights[0].sum().backward()
        optimizer.step()
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [35, 55])
        return dict(epoch=3, cur_iou=0.5, best_iou=0.5, prec={'Pr@50': 0.5}, state_dict=state,
                    optimizer=optimizer.state_dict(), scheduler=scheduler.state_dict())

    return wrap
