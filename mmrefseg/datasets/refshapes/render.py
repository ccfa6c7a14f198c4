"""Pictures of scenes: a textured background, shaded objects, noise over all."""
import math

import cv2
import numpy as np

from .scene import COLOURS, Item, Scene


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A pattern of waves in [-1, 1]: stripes, or checks where two waves cross; (H, W) float32."""
    height, width = shape
    period = rng.uniform(5, 18)
    angle = rng.uniform(0, math.pi)
    phase = rng.uniform(0, 2 * math.pi, 2)
    y, x = np.ogrid[:height, :width]
    turned_x = (x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / period)
    waves = np.sin(turned_x.astype(np.float32) + np.float32(phase[0]))
    if rng.random() < 0.5:
        turned_y = (y * math.cos(angle) - x * math.sin(angle)) * (2 * math.pi / period)
        waves = waves * np.sin(turned_y.astype(np.float32) + np.float32(phase[1]))
    return waves


def _background(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A dull mid-tone with blotches and a pattern; float32 (H, W, 3)."""
    tone = rng.uniform(80, 165) + rng.uniform(-16, 16, 3)
    cells = int(rng.integers(3, 9))
    blotches = rng.normal(0, rng.uniform(8, 18), (cells, cells, 3)).astype(np.float32)
    ground = cv2.resize(blotches, shape[::-1], interpolation=cv2.INTER_CUBIC)
    ground += tone.astype(np.float32)
    ground += np.float32(rng.uniform(0, 16)) * _texture(shape, rng)[..., None]
    return ground


def _paint(canvas: np.ndarray, item: Item, rng: np.random.Generator) -> None:
    """Blend one object into the canvas: jittered colour, light from one side, a rim that parts equal colours."""
    colour = np.array(COLOURS[item.colour], np.float32) + rng.uniform(-12, 12, 3).astype(np.float32)
    height, width = item.patch.shape
    slope_y, slope_x = rng.uniform(-0.15, 0.15, 2)
    light = 1 + slope_y * np.linspace(-1, 1, height)[:, None] + slope_x * np.linspace(-1, 1, width)[None]
    inside = cv2.erode(item.patch, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    rim_colour = colour * 0.55 if colour.mean() > 60 else colour + 70
    shaded = colour * light[..., None].astype(np.float32)
    shaded = rim_colour + (shaded - rim_colour) * inside[..., None]
    region = canvas[item.window]
    region += (shaded - region) * item.patch[..., None]


def render(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw a scene.

    Args:
        scene: items from the farthest to the nearest.
        rng: source of colours' jitter, light, texture and noise.

    Returns:
        Uint8 (H, W, 3), RGB.
    """
    canvas = _background(scene.labels.shape, rng)
    for item in scene.items:
        _paint(canvas, item, rng)
    canvas += rng.uniform(3, 10) * rng.standard_normal(canvas.shape, dtype=np.float32)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
