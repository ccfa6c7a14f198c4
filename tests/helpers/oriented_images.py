"""Images with an EXIF orientation, written for tests."""
from pathlib import Path

import numpy as np
from PIL import Image

# What EXIF wants done with the stored pixels, told as NumPy does it.
TURNS = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


def write_oriented(path: Path, pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Write an image; lossless but for JPEG.

    Args:
        path: the file, of any format that carries EXIF.
        pixels: what to store, RGB uint8 (H, W, 3).
        orientation: 1 to 8.

    Returns:
        The upright picture.
    """
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {'.jpg': {'quality': 95, 'subsampling': 0}, '.webp': {'lossless': True}}
    Image.fromarray(pixels).save(path, exif=exif, **options.get(path.suffix, {}))
    return np.ascontiguousarray(TURNS[orientation](pixels))
