"""Refusing to train on less than a batch."""
from __future__ import annotations

from math import ceil

from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmrefseg.datasets.samplers import sampler_of
from mmrefseg.errors import InputError
from mmrefseg.registry import HOOKS


def _batch_size(loader: DataLoader) -> int:
    # Samplers of batches may be anything, and a dataloader without one takes single samples.
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None) or 1


def _share(loader: DataLoader) -> int:
    """Samples of this process in one pass."""
    sampler = sampler_of(loader)
    # One that has no end says how many samples there are for all processes.
    return ceil(len(sampler) / get_world_size()) if isinstance(sampler, InfiniteSampler) else len(sampler)


@HOOKS.register_module()
class CheckBatchSizeHook(Hook):
    """Stops a training whose data set, or the share of a process, is smaller than a batch.

    With ``drop_last`` such a training would end at once with nothing trained; without it, or with a sampler that has no
    end, batches would be smaller, or hold samples twice, other than the config says.
    """

    # A leak is the graver fault, and told first; ahead of the checkpoint hook, which may validate when it resumes.
    priority = 'BELOW_NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Compare the numbers.

        Raises:
            InputError: the data set is too small; names the numbers and what to set. In every process.
        """
        loader = runner.train_dataloader
        if not hasattr(loader.dataset, '__len__'):
            return
        batch_size = _batch_size(loader)
        shares, batches = zip(*all_gather_object((_share(loader), len(loader))), strict=True)
        # A sampler of batches may leave out more than what is over.
        if min(shares) >= batch_size and min(batches) > 0:
            return
        processes, samples, share = get_world_size(), len(loader.dataset), min(shares)
        of_each, in_each = (f', {share} for each of {processes} processes', ' in each') if processes > 1 else ('', '')
        mends = ([f'set train_dataloader.batch_size to {share} or less'] if share else []) + (
            ['start fewer processes'] if processes > 1 else []) + ['use more data']
        raise InputError(f'train_dataloader has {samples} samples{of_each}, and a batch of {batch_size}{in_each}: no '
                         f'batch is whole; {", or ".join(mends)}')
