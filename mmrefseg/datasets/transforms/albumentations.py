"""Transforms of Albumentations."""
from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmrefseg.errors import InputError, MissingPackageError
from mmrefseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Albumentations(BaseTransform):
    """Apply transforms of Albumentations (https://arxiv.org/abs/1809.06839) to the image and the masks.

    In difference to mmseg's ``Albu`` it hands the RGB image over as it is, and the transforms, which hold generators of
    their own, draw by the seed of the sample. Nothing tells them of the expression: leave out what mirrors or turns the
    picture, cuts it or shifts hues where expressions name sides, places or colours. What moves pixels must stand before
    ``Letterbox`` (or ``Stretch``).

    Required Keys:

    - img (np.ndarray, uint8, (H, W, 3), RGB)
    - seg_fields (list[str], optional)

    Modified Keys:

    - img, and every key in ``seg_fields``
    - img_shape (tuple[int, int])

    Args:
        transforms: configs; ``type`` is a name in Albumentations (2.0), and ``transforms`` inside one are configs
            again.

    Raises:
        MissingPackageError: albumentations is missing; mmrefseg does not install it.
        InputError: it has no transform of such a name.
    """

    def __init__(self, transforms: Sequence[Mapping]) -> None:
        try:
            import albumentations
        except ImportError:
            raise MissingPackageError(
                'Albumentations is missing. Its own list asks for a second OpenCV, which would overwrite the first: '
                'pip install --no-deps albumentations==2.0.8 albucore==0.0.24 && '
                'pip install pydantic scipy simsimd stringzilla') from None
        self.transforms = tuple(transforms)
        self._apply = albumentations.Compose([_build(albumentations, config) for config in transforms])

    def transform(self, results: dict) -> dict:
        """Apply the transforms of Albumentations to the image and its masks."""
        # One pair of generators for all: each of its own, seeded alike, would make them act at the same times.
        self._apply.set_random_state(*(make(random.getrandbits(32)) for make in (np.random.default_rng, random.Random)))
        keys = results.get('seg_fields', [])
        changed = self._apply(image=results['img'], masks=[results[key] for key in keys])
        results.update(zip(keys, changed['masks'], strict=True), img=changed['image'])
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms})'


def _build(albumentations: Any, config: Mapping) -> Any:
    arguments = dict(config)
    name = arguments.pop('type')
    if not hasattr(albumentations, name):
        raise InputError(f'Albumentations {albumentations.__version__} has no transform {name!r}')
    if 'transforms' in arguments:
        arguments['transforms'] = [_build(albumentations, inner) for inner in arguments['transforms']]
    return getattr(albumentations, name)(**arguments)
