"""Several samples of one image read and prepare it once."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Transform = Callable[[dict], dict]


def split_pipeline(transforms: Sequence[Transform]) -> tuple[list[Transform], list[Transform]]:
    """Part a pipeline into what all samples of an image share, and what each has of its own.

    A transform may say by its attribute ``touches`` that it is without chance, and what it changes: ``'image'``, and it
    looks at nothing else, or ``'annotation'``, and it leaves the image alone. A pipeline of other transforms, such as
    random ones, can share nothing.

    Args:
        transforms: of the pipeline, in order.

    Returns:
        The transforms of the image and those behind; the first empty where nothing can be shared.
    """
    kinds = [getattr(transform, 'touches', None) for transform in transforms]
    num_shared = next((i for i, kind in enumerate(kinds) if kind != 'image'), len(kinds))
    if any(kind != 'annotation' for kind in kinds[num_shared:]):
        return [], list(transforms)
    return list(transforms[:num_shared]), list(transforms[num_shared:])


def samples_of_images(infos: Iterable[dict], ahead: Sequence[Transform], behind: Sequence[Transform]) -> list[dict]:
    """Make samples, of which those of one image hold the same tensor and name it alike in ``shared_image``.

    Args:
        infos: what is known of each sample, with ``img_path``.
        ahead: transforms of the image.
        behind: the others.
    """
    images, inputs, samples = {}, {}, []
    for info in infos:
        key = info['img_path'], info.get('ignore_orientation', False)
        if key not in images:
            image = {'img_path': key[0], 'ignore_orientation': key[1]}
            for transform in ahead:
                image = transform(image)
            images[key] = image
        sample = {**info, **images[key], 'shared_image': key}
        for transform in behind:
            sample = transform(sample)
        if 'inputs' in sample:
            sample['inputs'] = inputs.setdefault(key, sample['inputs'])
        samples.append(sample)
    return samples


def prepare_samples(dataset: Any, indices: Sequence[int], transforms: Sequence[Transform]) -> list[Any]:
    """Samples of a data set; each image is read and prepared once, where the pipeline allows it.

    Args:
        dataset: has ``get_data_info`` and ``__getitem__``.
        indices: of the samples.
        transforms: of its pipeline, in order.
    """
    ahead, behind = split_pipeline(transforms)
    if not ahead:
        return [dataset[index] for index in indices]
    return samples_of_images((dataset.get_data_info(int(index)) for index in indices), ahead, behind)
