"""MMEngine's samplers, whose indices know the seed of their sample."""
from collections.abc import Iterator

from mmengine.dataset import DefaultSampler, InfiniteSampler

from mmrefseg.registry import DATA_SAMPLERS

from .seeding import SampleIndex


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's ``DefaultSampler``; random transforms draw by seed, epoch and index.

    A sample is then the same for any number of workers and of processes, whatever else draws random numbers, and in
    training that was resumed; from epoch to epoch it differs.

    Args:
        dataset (Sized): The data set.
        shuffle (bool): Whether the order differs from epoch to epoch. Default: True.
        seed (int | None): Of the order and of the samples; the runner gives its own. Default: None, a random one.
        round_up (bool): Whether some samples come twice where they do not share out evenly among the processes.
            Default: True.
    """

    def __iter__(self) -> Iterator[SampleIndex]:
        return (SampleIndex(index, (self.seed, self.epoch, index)) for index in super().__iter__())


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(InfiniteSampler):
    """MMEngine's ``InfiniteSampler``; random transforms draw by seed, number of the pass and index.

    See :class:`SeededSampler`; a pass through the data set takes the place of an epoch.

    Args:
        dataset (Sized): The data set.
        shuffle (bool): Whether the order differs from pass to pass. Default: True.
        seed (int | None): Of the order and of the samples; the runner gives its own. Default: None, a random one.
    """

    def _infinite_indices(self) -> Iterator[SampleIndex]:
        for number, index in enumerate(super()._infinite_indices()):
            yield SampleIndex(index, (self.seed, number // self.size, index))
