"""What training takes: operations and memory of a step, computed without one, and a warning where memory won't do."""
from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from mmrefseg.checkpoints.module_weights import unwrap_model
from mmrefseg.models import ReferringSegmentor
from mmrefseg.registry import type_name
from mmrefseg.structures import RefSegDataSample
from mmrefseg.utils.collect_env import machine_memory
from mmrefseg.utils.launched_processes import launchers_number

from .setup_checks import find_squares

PROCESS = 400 * 2**20
"""Bytes of a process with Python and all libraries that no other process shares with it."""
_SAMPLES = 2  # the fewest that every part takes, for some have batch statistics
_EXPRESSION = 'the tall man in a red shirt on the left'
_STATES = {'Adam': 2, 'AdamW': 2, 'MuonAdamW': 1}  # the least; of other optimizers none is counted
_NEGLIGIBLE = 50  # part of the memory; tracing takes seconds


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: object,
                        **__: object) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


# The counter doesn't know the fused attention of CPUs.
_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


class StepCost(NamedTuple):
    """What a training step of one sample takes.

    Args:
        flops: floating-point operations of products, convolutions and attention, forward and backward; a
            multiplication is one, and so is an addition.
        activations: bytes that the forward pass keeps for the backward pass.
    """

    flops: float
    activations: float


class Memory(NamedTuple):
    """Bytes that each process of a training takes at least.

    Args:
        weights: parameters and buffers.
        trained: gradients and the optimizer's state.
        activations: what the forward pass of a batch keeps for the backward pass.
    """

    weights: int
    trained: int
    activations: float

    @property
    def total(self) -> float:
        """All of them, and the process itself."""
        return PROCESS + sum(self)


def input_size(config: Config) -> int | None:
    """Sides of the square images that a config trains on; None where its pipeline says none.

    Args:
        config: a config with a ``train_dataloader``.
    """
    return next((step['size'] for step in find_squares(config.get('train_dataloader'))), None)


def step_cost(model: ReferringSegmentor, size: int,
              context: AbstractContextManager | None = None) -> StepCost | None:
    """Trace a training step of a model on tensors without values, which takes neither memory nor the model's own.

    Args:
        model: on the CPU; stays as it is.
        size: sides of the images in pixels.
        context: what the forward pass runs in, such as autocast. Default None.

    Returns:
        The cost, or None where what is done depends on values, so that it cannot be known.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    tensors = {name: fake.from_tensor(tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    own = {tensor.untyped_storage()._cdata for tensor in tensors.values()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that its number is not given to another one
        return tensor

    counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
    ids, mask = model.text_encoder.tokenize([_EXPRESSION] * _SAMPLES)
    training = model.training
    try:
        with fake, counter, torch.random.fork_rng(devices=[]):
            inputs = dict(inputs=torch.zeros(_SAMPLES, 3, size, size), token_ids=fake.from_tensor(ids),
                          token_mask=fake.from_tensor(mask), data_samples=_samples(size), mode='loss')
            with saved_tensors_hooks(keep, lambda tensor: tensor), context or nullcontext():
                losses = functional_call(model.train(), tensors, kwargs=inputs)
            loss, _ = model.parse_losses(losses)
            loss.backward()
    except RuntimeError:
        return None
    finally:
        model.train(training)
    return StepCost(counter.get_total_flops() / _SAMPLES,
                    sum(storage.nbytes() for storage in kept.values()) / _SAMPLES)


def _samples(size: int) -> list[RefSegDataSample]:
    return [RefSegDataSample(metainfo=dict(text=_EXPRESSION, img_shape=(size, size), pad_shape=(size, size)),
                             gt_sem_seg=PixelData(data=torch.zeros(1, size, size, dtype=torch.uint8)))
            for _ in range(_SAMPLES)]


def weights_memory(model: nn.Module, config: Config) -> Memory:
    """What a process takes at least before its first step.

    Args:
        model: the model.
        config: the config, which names the optimizer.
    """
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    optimizer = (config.get('optim_wrapper') or {}).get('optimizer') or {}
    states = _STATES.get(type_name(optimizer.get('type', '')), 0)
    return Memory(sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers())), (1 + states) * trained, 0)


def warn_of_memory(runner: Runner) -> None:
    """Warn, ahead of a training on CPUs, where its processes on this machine take more memory than there is.

    The system would kill one of them without a word. What is computed is the least: weights, gradients, the optimizer's
    state and what a forward pass keeps; not what operations need in passing, data and their workers, or averages.

    Args:
        runner: the runner, with its dataloaders; the first process of each machine warns.
    """
    model, size = unwrap_model(runner.model), input_size(runner.cfg)
    on_cpu = all(parameter.device.type == 'cpu' for parameter in model.parameters())
    batch = runner.train_dataloader.batch_size
    if (not isinstance(model, ReferringSegmentor) or not on_cpu or None in (size, batch)
            or launchers_number('LOCAL_RANK') > 0):
        return
    processes = launchers_number('LOCAL_WORLD_SIZE', 1)
    least, available = weights_memory(model, runner.cfg), machine_memory()
    if processes * (least.weights + least.trained) < available / _NEGLIGIBLE:
        return
    cost = step_cost(model, size, runner.optim_wrapper.optim_context(model))
    need = least._replace(activations=cost.activations * batch if cost else 0)
    if processes * need.total > available:
        print_log(memory_message(need, processes, batch, available), 'current', logging.WARNING)


def memory_message(need: Memory, processes: int, batch: int, available: int) -> str:
    """The text of the warning that the memory will not do.

    Args:
        need: bytes of each process.
        processes: how many there are on this machine.
        batch: samples per batch of each process.
        available: bytes that the machine has.
    """
    weights, trained, activations = (f'{number / 1e9:.1f}' for number in need)
    several = f'{processes} processes take at least {processes * need.total / 1e9:.1f} GB in all, ' if (
        processes > 1) else ''
    return (f'The memory of this machine will not do: {several}each at least {need.total / 1e9:.1f} GB ({weights} GB '
            f'weights, {trained} GB gradients and state of the optimizer, {activations} GB activations of a batch of '
            f'{batch}), and there are {available / 1e9:.1f} GB. The system kills processes when memory runs out. '
            + ('Start fewer processes, or set' if processes > 1 else 'Set')
            + ' a smaller train_dataloader.batch_size (optim_wrapper.accumulative_counts makes up for it).')
