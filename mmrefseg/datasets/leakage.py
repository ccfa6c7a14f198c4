"""Images that are trained on, and that a data set tests on."""
from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from .base_referring_dataset import BaseReferringDataset

Splits = dict[tuple[str, str], set[str]]
"""Keys of images by the titles of data sets and the names of their splits."""


def images_of_splits(datasets: Iterable[BaseReferringDataset]) -> Splits:
    """Keys of the images of every split that the data sets' files know.

    Args:
        datasets: the data sets; where two have one title, the first one's files are read.
    """
    splits: dict[str, dict[str, set[str]]] = {}
    for dataset in datasets:
        if dataset.title not in splits:
            splits[dataset.title] = dataset.images_by_split()
    return {(title, split): keys for title, images in splits.items() for split, keys in images.items()}


def held_out_images(datasets: Iterable[BaseReferringDataset]) -> Splits:
    """:func:`images_of_splits` without ``train``: what must not be trained on.

    Args:
        datasets: as :func:`images_of_splits` takes them.
    """
    return {name: keys for name, keys in images_of_splits(datasets).items() if name[1] != 'train'}


def shared_images(trained: Collection[str], tested: Splits) -> Splits:
    """Keys of the trained images in each tested split, where there are any.

    Args:
        trained: keys of images.
        tested: from :func:`held_out_images`.
    """
    shared = {name: keys.intersection(trained) for name, keys in tested.items()}
    return {name: keys for name, keys in shared.items() if keys}


def describe_leaks(name: str, refs_on_image: Counter[str], tested: Splits) -> list[str]:
    """A line for each tested split that trained images occur in.

    Args:
        name: what is trained on.
        refs_on_image: number of its refs by the key of their image.
        tested: from :func:`held_out_images`.
    """
    return [f'  {name}: {sum(refs_on_image[key] for key in keys)} refs on {len(keys)} images of {" ".join(split)}'
            for split, keys in shared_images(refs_on_image, tested).items()]
