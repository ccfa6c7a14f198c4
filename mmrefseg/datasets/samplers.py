"""MMEngine's samplers, whose indices know the seed of their sample; and what is done to those of a dataloader."""
from __future__ import annotations

from collections.abc import Iterator, Sized
from functools import partial
from itertools import count

import numpy as np
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, Sampler

from mmrefseg.errors import InputError
from mmrefseg.registry import DATA_SAMPLERS
from mmrefseg.utils.type_hints import Count

from .seeding import SampleIndex


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler``; random transforms draw by seed, epoch and index.

    A sample is then the same for any number of workers and of processes, whatever else draws random numbers, and in
    training that was resumed; from epoch to epoch it differs.

    Args:
        dataset: the data set.
        shuffle: whether the order differs from epoch to epoch. Default True.
        seed: of the order and of the samples; the runner gives its own. Default None, a random one.
        round_up: whether some samples come twice where they do not share out evenly among the processes. Default True.
    """

    def __iter__(self) -> Iterator[SampleIndex]:
        return (SampleIndex(index, (self.seed, self.epoch, index)) for index in super().__iter__())


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(InfiniteSampler):
    """MMEngine's ``InfiniteSampler``; random transforms draw by seed, number of the pass and index.

    See :class:`SeededSampler`; a pass through the data set takes the place of an epoch.

    Args:
        dataset: the data set.
        shuffle: whether the order differs from pass to pass. Default True.
        seed: of the order and of the samples; the runner gives its own. Default None, a random one.
    """

    def _infinite_indices(self) -> Iterator[SampleIndex]:
        for number, index in enumerate(super()._infinite_indices()):
            yield SampleIndex(index, (self.seed, number // self.size, index))


def _samples_by_image(dataset: Sized, sampler: str, instead: str) -> list[np.ndarray]:
    """Indices of each image's samples."""
    if not hasattr(dataset, 'image_numbers'):
        raise InputError(f'{type(dataset).__name__} says not which samples share an image: {sampler} needs '
                         f'image_numbers(), as the data sets of mmrefseg have it; take {instead}')
    numbers = dataset.image_numbers()
    return np.split(np.argsort(numbers, kind='stable'), np.cumsum(np.bincount(numbers))[:-1])


@DATA_SAMPLERS.register_module()
class ImageGroupsSampler(SeededSampler):
    """For training by epochs: all samples of an image in a row, images in another order in each epoch.

    Each sample comes once in an epoch; :class:`ImageGroupsInfiniteSampler` says what it is good for.

    Args:
        dataset: the data set; it says which samples share an image (``image_numbers``).
        shuffle: whether images and their samples come in another order in each epoch. Default True.
        seed: of the order and of the samples; the runner gives its own. Default None, a random one.

    Raises:
        InputError: the data set has no ``image_numbers``.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self._samples = _samples_by_image(dataset, 'ImageGroupsSampler', 'SeededSampler')
        super().__init__(dataset, shuffle, seed)

    def __iter__(self) -> Iterator[SampleIndex]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation if self.shuffle else np.asarray
        indices = np.concatenate([order(self._samples[image]) for image in order(np.arange(len(self._samples)))])
        # Neighbours stay in one process; the first ones come again where they don't share out evenly.
        own = np.resize(indices, self.total_size)[self.rank * self.num_samples:][:self.num_samples]
        return (SampleIndex(index, (self.seed, self.epoch, index)) for index in own.tolist())


@DATA_SAMPLERS.register_module()
class ImageGroupsInfiniteSampler(SeededInfiniteSampler):
    """For training: several samples of an image in a row, so that batches hold what tells its objects apart.

    Where the model shares images (``share_in_training`` of ``ReferringDataPreProcessor``) they cost less, too. A pass
    takes every image once, and not every sample. See :class:`SeededInfiniteSampler` for the rest.

    Args:
        dataset: the data set; it says which samples share an image (``image_numbers``).
        per_image: samples in a row; of images that have fewer, some come again. The batch size should be a multiple.
        shuffle: whether images and their samples come in another order in each pass. Default True.
        seed: of the order and of the samples; the runner gives its own. Default None, a random one.

    Raises:
        InputError: the data set has no ``image_numbers``.
    """

    def __init__(self, dataset: Sized, per_image: Count, shuffle: bool = True, seed: int | None = None) -> None:
        self.per_image = per_image
        self._samples = _samples_by_image(dataset, 'ImageGroupsInfiniteSampler', 'SeededInfiniteSampler')
        super().__init__(dataset, shuffle, seed)

    def _infinite_indices(self) -> Iterator[SampleIndex]:
        for number in count():
            generator = np.random.default_rng((self.seed, number))
            order = generator.permutation if self.shuffle else np.asarray
            for image in order(np.arange(len(self._samples))):
                samples = order(self._samples[image]).tolist()
                for turn in range(self.per_image):
                    index = samples[turn % len(samples)]
                    yield SampleIndex(index, (self.seed, number, index, turn // len(samples)))

    def _indices_of_rank(self) -> Iterator[SampleIndex]:
        for position, index in enumerate(self._infinite_indices()):
            if position // self.per_image % self.world_size == self.rank:
                yield index


@DATA_SAMPLERS.register_module()
class SameImageSampler(Sampler[int]):
    """For evaluation: the samples of one image follow each other, so that batches read and encode it once.

    Each sample comes once, in one of the processes; images come in the order in which the data set first has them.
    Data sets that don't say which samples share an image (``image_numbers``) keep their order.

    Args:
        dataset: the data set.
        seed: has no effect; the runner gives one to every sampler. Default None.
    """

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        numbers = dataset.image_numbers() if hasattr(dataset, 'image_numbers') else np.arange(len(dataset))
        rank, world_size = get_dist_info()
        self._indices = np.array_split(np.argsort(numbers, kind='stable'), world_size)[rank].tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


def sampler_of(loader: DataLoader) -> Sampler:
    """The sampler of single indices, also where another one makes batches of them.

    Args:
        loader: the data loader.
    """
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)


def begin_again(loader: DataLoader, seed: int | None, worker_seed: int) -> None:
    """Let a dataloader draw, when it is iterated the next time, as one that was built with other seeds.

    Args:
        loader: a dataloader of MMEngine, or any other.
        seed: of the sampler; None leaves it as it is.
        worker_seed: of the worker processes, where MMEngine's ``default_worker_init_fn`` seeds them.
    """
    sampler = sampler_of(loader)
    if seed is not None and hasattr(sampler, 'seed'):
        sampler.seed = seed
    if isinstance(sampler, InfiniteSampler):
        # It goes on where it stopped, in the order that it began with.
        sampler.indices = sampler._indices_of_rank()
    init = loader.worker_init_fn
    if isinstance(init, partial) and 'seed' in init.keywords:
        loader.worker_init_fn = partial(init, seed=worker_seed)
    # Workers that outlive an epoch have the old seed.
    loader._iterator = None
