"""What a scene holds: which shapes, where they lie and what is left visible of each."""

import math
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

SUPERSAMPLING = 4
"""Sub-pixels a side when an outline is filled: gives smooth edges without OpenCV's line blur."""


def _regular(corners: int, radii: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """A star-shaped outline with its first corner at the top; the radii alternate."""
    angles = 2 * math.pi * np.arange(corners) / corners - math.pi / 2
    radius = np.resize(np.array(radii), corners)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _square() -> np.ndarray:
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)


def _cross() -> np.ndarray:
    arm = 0.38
    quarter = np.array([[arm, -1], [arm, -arm], [1, -arm]], dtype=float)
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn.T for turn in turns])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1)


def _unit_area(outline: np.ndarray) -> np.ndarray:
    """Scale an outline to area 1 and centre its bounding box, so that size means the same for every shape."""
    outline = outline - (outline.min(axis=0) + outline.max(axis=0)) / 2
    x, y = outline.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return outline / math.sqrt(area)


OUTLINES = MappingProxyType({
    'circle': _unit_area(_regular(48)),
    'square': _unit_area(_square()),
    'triangle': _unit_area(_regular(3)),
    'star': _unit_area(_regular(10, radii=(1.0, 0.45))),
    'cross': _unit_area(_cross()),
    'heart': _unit_area(_heart()),
})
SHAPES = tuple(OUTLINES)


def coverage(shape: str, side: float, angle: float) -> np.ndarray:
    """Draw one shape as the share of each pixel that it covers.

    Args:
        shape: one of ``SHAPES``.
        side: square root of the shape's area, in pixels.
        angle: clockwise turn in radians.

    Returns:
        Float32 (h, w) in [0, 1], the share of each pixel that the shape covers; the patch is as tight as the shape.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    outline = OUTLINES[shape] @ np.array([[cos, sin], [-sin, cos]]) * side
    outline -= outline.min(axis=0)
    width, height = (math.ceil(extent) for extent in outline.max(axis=0))
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    # OpenCV fills up to and with the pixel of a corner; the half sub-pixel undoes that growth.
    corners = np.rint(outline * SUPERSAMPLING - 0.5).astype(np.int32)
    cv2.fillPoly(fine, [corners], 255)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


COLOURS = MappingProxyType({
    'red': (214, 38, 40),
    'green': (38, 160, 60),
    'blue': (40, 84, 222),
    'yellow': (242, 220, 48),
    'purple': (146, 52, 186),
    'orange': (250, 134, 24),
    'white': (244, 244, 244),
    'black': (24, 24, 26),
})
"""Name to RGB."""

HELD_OUT = frozenset(
    (shape, tuple(COLOURS)[(row + step) % len(COLOURS)]) for row, shape in enumerate(SHAPES) for step in (0, 4))
"""Combinations of shape and colour that occur in testB alone: two of every shape, one or two of every colour."""

SPLITS = ('train', 'val', 'testA', 'testB')

REFERENCE_SIDE = 112
"""Sizes in pixels below hold for an image whose shorter side is this long; others are scaled."""
SHAPE_SIDES = (19.0, 44.0)
MAX_TURN = math.radians(15)
MIN_VISIBLE_SHARE = 0.6
PLACING_TRIES = 20


@dataclass(frozen=True)
class Item:
    """One object of a scene.

    Args:
        shape: one of ``SHAPES``.
        colour: one of ``COLOURS``.
        left: column of the patch's left edge in the image.
        top: row of the patch's top edge in the image.
        patch: float32 (h, w) in [0, 1], the object's coverage.
    """
    shape: str
    colour: str
    left: int
    top: int
    patch: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the patch covers."""
        height, width = self.patch.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass(frozen=True)
class Scene:
    """Objects from the farthest to the nearest, and the map of what is seen.

    Args:
        items: later ones cover earlier ones.
        labels: int8 (H, W), the index of the item seen at each pixel; -1 on the background.
    """
    items: tuple[Item, ...]
    labels: np.ndarray


_SEEN = [(shape, colour) for shape in SHAPES for colour in COLOURS if (shape, colour) not in HELD_OUT]
_HELD_OUT = sorted(HELD_OUT)


def _combinations(split: str, number: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Draw shape and colour of each object, so that look-alikes are frequent and, in testB, held-out ones exist."""
    drawn = []
    for index in range(number):
        pool = _SEEN
        if split == 'testB' and (index == 0 or rng.random() < 0.5):
            pool = _HELD_OUT
        if drawn:
            model_shape, model_colour = drawn[rng.integers(len(drawn))]
            likeness = rng.random()
            if likeness < 0.3:
                pool = [(s, c) for s, c in pool if s == model_shape]
            elif likeness < 0.6:
                pool = [(s, c) for s, c in pool if c == model_colour]
            elif likeness < 0.7 and (model_shape, model_colour) in pool:
                pool = [(model_shape, model_colour)]
        drawn.append(pool[rng.integers(len(pool))])
    return [drawn[index] for index in rng.permutation(number)]


def _corner(patch: np.ndarray, placed: list[Item], image_size: tuple[int, int],
            rng: np.random.Generator) -> tuple[int, int]:
    """Draw the left and top of a patch: anywhere inside the image, or now and then upon the biggest object."""
    room = [max(side - extent, 1) for side, extent in zip(image_size, patch.shape[::-1], strict=True)]
    if not placed or rng.random() < 0.6:
        return int(rng.integers(room[0])), int(rng.integers(room[1]))
    below = max(placed, key=lambda item: item.patch.size)
    height, width = below.patch.shape
    shift = rng.normal(0, rng.uniform(0, 0.35), 2)
    left = below.left + width * (0.5 + shift[0]) - patch.shape[1] / 2
    top = below.top + height * (0.5 + shift[1]) - patch.shape[0] / 2
    return int(min(max(left, 0), room[0] - 1)), int(min(max(top, 0), room[1] - 1))


def _lay(item: Item, covered: np.ndarray, labels: np.ndarray, seen: list[int], full: list[int]) -> bool:
    """Lay an item on top unless it would hide too much of one below; keeps the counts of seen and full pixels."""
    below = labels[item.window]
    hidden = np.bincount(below[covered] + 1, minlength=len(seen) + 1)[1:]
    left_over = [pixels - lost for pixels, lost in zip(seen, hidden.tolist(), strict=True)]
    if any(pixels < MIN_VISIBLE_SHARE * whole for pixels, whole in zip(left_over, full, strict=True)):
        return False
    below[covered] = len(seen)
    whole = int(covered.sum())
    seen[:] = [*left_over, whole]
    full.append(whole)
    return True


def _try_scene(combinations: list[tuple[str, str]], image_size: tuple[int, int],
               rng: np.random.Generator) -> Scene | None:
    scale = min(image_size) / REFERENCE_SIDE
    labels = np.full(image_size[::-1], -1, np.int8)
    items, seen, full = [], [], []
    for shape, colour in combinations:
        patch = coverage(shape, scale * rng.uniform(*SHAPE_SIDES), rng.uniform(-MAX_TURN, MAX_TURN))
        covered = patch >= 0.5
        for _ in range(PLACING_TRIES):
            item = Item(shape, colour, *_corner(patch, items, image_size, rng), patch)
            if _lay(item, covered, labels, seen, full):
                items.append(item)
                break
        else:
            return None
    return Scene(tuple(items), labels)


def sample_scene(split: str, image_size: tuple[int, int], rng: np.random.Generator) -> Scene:
    """Draw the objects of one image and lay them out.

    Three to six objects; five or six in testA, whose scenes are the crowded ones. At least 60 % of each stays visible.

    Args:
        split: the split; testB draws held-out combinations too, and at least one of them.
        image_size: width and height in pixels.
        rng: source of all randomness.

    Returns:
        Items and label map.
    """
    number = int(rng.integers(5 if split == 'testA' else 3, 7))
    combinations = _combinations(split, number, rng)
    while (scene := _try_scene(combinations, image_size, rng)) is None:
        pass
    return scene
