"""Pictures: what is drawn, what is seen of it, and which objects may occur in which split."""
from collections import Counter

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmrefseg.datasets.refshapes import COLOURS, HELD_OUT, SHAPES
from mmrefseg.datasets.refshapes.expressions import KINDS
from mmrefseg.datasets.refshapes.picture import STYLES, PictureTask, make_picture, render
from mmrefseg.datasets.refshapes.scene import MIN_VISIBLE_SHARE, coverage, sample_scene


def tasks(split: str, number: int, image_size: tuple[int, int] = (112, 112)) -> list[PictureTask]:
    return [PictureTask(5, split, index, image_size) for index in range(number)]


def decode(segmentation: list | dict, height: int, width: int) -> np.ndarray:
    """A mask by pycocotools alone."""
    runs = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(coco_mask.merge(runs) if isinstance(runs, list) else runs)


def test_seed_changes_every_image():
    first, second = (make_picture(PictureTask(seed, 'train', 0, (112, 112))) for seed in (0, 1))
    assert first.jpeg != second.jpeg


@pytest.mark.parametrize('image_size', [(112, 112), (160, 96)])
def test_masks_are_what_is_seen(image_size):
    ious = []
    for task in tasks('testA', 12, image_size):
        scene, picture = sample_scene(task.split, task.image_size, task.rng()), make_picture(task)
        image = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert image.shape == (*image_size[::-1], 3)
        for index, (item, entry) in enumerate(zip(scene.items, picture.objects, strict=True)):
            seen = scene.labels == index
            mask = decode(entry.annotation['segmentation'], *image_size[::-1]).astype(bool)
            ious.append((mask & seen).sum() / (mask | seen).sum())
            assert seen.sum() >= MIN_VISIBLE_SHARE * (item.patch >= 0.5).sum()
            inner = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0).astype(bool)
            distances = {name: np.abs(np.median(image[inner], axis=0) - rgb).sum() for name, rgb in COLOURS.items()}
            assert min(distances, key=distances.get) == item.colour
    assert min(ious) > 0.95
    assert np.mean(ious) > 0.99


@pytest.mark.parametrize('shape', SHAPES)
def test_shapes_of_one_side_have_one_area(shape):
    patch = coverage(shape, 24.0, 0.2)
    assert patch.sum() == pytest.approx(24 ** 2, rel=0.04)
    assert all(edge.any() for edge in (patch[0], patch[-1], patch[:, 0], patch[:, -1]))


def test_texture_and_noise():
    for task in tasks('train', 10):
        rng = task.rng()
        scene = sample_scene(task.split, task.image_size, rng)
        image = render(scene, rng).astype(int)
        on_objects = (scene.labels[:, 1:] == scene.labels[:, :-1]) & (scene.labels[:, 1:] >= 0)
        between_neighbours = np.abs(np.diff(image, axis=1))
        assert np.median(between_neighbours[on_objects]) >= 2
        assert image[scene.labels < 0].std(axis=0).min() > 5


@pytest.mark.parametrize('split, numbers', [('train', {3, 4, 5, 6}), ('val', {3, 4, 5, 6}), ('testA', {5, 6})])
def test_held_out_combinations_stay_out(split, numbers):
    scenes = [sample_scene(task.split, task.image_size, task.rng()) for task in tasks(split, 40)]
    assert {len(scene.items) for scene in scenes} == numbers
    shown = {(item.shape, item.colour) for scene in scenes for item in scene.items}
    assert not shown & HELD_OUT
    assert len(shown) > 30


def test_testb_refers_to_held_out_combinations_only():
    referred = set()
    for task in tasks('testB', 40):
        items = sample_scene(task.split, task.image_size, task.rng()).items
        named = {(item.shape, item.colour) for item, entry in zip(items, make_picture(task).objects, strict=True)
                 if entry.sentences}
        assert named <= HELD_OUT
        assert any((item.shape, item.colour) in HELD_OUT for item in items)
        referred |= named
    assert len(referred) > 9


def test_every_shape_and_colour_is_seen_in_training():
    assert {shape for shape, _ in HELD_OUT} == set(SHAPES)
    assert {colour for _, colour in HELD_OUT} == set(COLOURS)
    assert len(HELD_OUT) == 12


def test_mixture_of_expressions():
    pictures = [make_picture(task) for task in tasks('train', 150)]
    counts = Counter(sentence.kind for picture in pictures for entry in picture.objects
                     for sentence in entry.sentences)
    assert 6 <= counts.total() / len(pictures) <= 10
    assert 0.4 <= counts['attribute'] / counts.total() <= 0.6
    assert min(counts[kind] for kind in KINDS) / counts.total() > 0.08


def test_styles_paint_the_same_scenes_otherwise():
    task = PictureTask(5, 'train', 0, (112, 112))
    scene, images = sample_scene(task.split, task.image_size, task.rng()), {}
    for style in STYLES:
        rng = task.rng()
        sample_scene(task.split, task.image_size, rng)
        images[style] = render(scene, rng, STYLES[style]).astype(float)
        pictures = make_picture(task._replace(style=style))
        assert [entry.annotation for entry in pictures.objects] == [
            entry.annotation for entry in make_picture(task).objects]
    assert np.array_equal(images['plain'], render(scene, _after_scene(task)))
    assert images['dusk'].mean() < 0.7 * images['plain'].mean()
    assert images['dusk'][..., 2].mean() > images['dusk'][..., 0].mean()


def _after_scene(task: PictureTask) -> np.random.Generator:
    rng = task.rng()
    sample_scene(task.split, task.image_size, rng)
    return rng
