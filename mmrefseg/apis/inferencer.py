"""Asking a model about images."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import Tensor

from mmrefseg.checkpoints.loading import load_checkpoint
from mmrefseg.datasets.transforms.loading import read_image
from mmrefseg.engine.checks import check_input_sizes
from mmrefseg.errors import InputError, InputTypeError, MissingInputError
from mmrefseg.registry import INFERENCERS
from mmrefseg.structures import RefSegDataSample
from mmrefseg.visualization import Answer, draw_answers
from mmrefseg.visualization.figure import check_picture

from .building import build_model, check_device, inference_pipeline, read_config

Image = str | Path | np.ndarray


class RefSegResult(NamedTuple):
    """What the model answers to one expression about one image.

    Args:
        mask: bool (H, W), True on the referent, at the upright image's own size.
        score: mean probability of the mask's pixels, 0 to 1; 0 where the mask is empty.
        expression: the expression, as asked.
        image_path: the image's file; None where an array was given.
    """

    mask: np.ndarray
    score: float
    expression: str
    image_path: str | None


@INFERENCERS.register_module()
class RefSegInferencer:
    """Finds in images what expressions refer to::

        ask = RefSegInferencer('sera_tiny_refshapes', 'work_dirs/quickstart/iter_560.pth')
        for result in ask('street.jpg', ['the red car', 'the man left of it'], out='answers.png'):
            print(result.expression, result.score, result.mask.sum())

    Images are prepared by the config's test pipeline. The model stays as :attr:`model`, in evaluation mode.

    Args:
        config: path of a config, the name of one that comes with mmrefseg (see :func:`mmrefseg.config_path`), or a
            config.
        weights: path or address of a checkpoint of exactly this architecture; one that holds only what was trained also
            needs the config's pretrained files. None keeps random weights and warns: the answers mean nothing then.
        device: where the model runs, such as ``'cpu'`` or ``'cuda:1'``. Default None: a GPU if there is one, else the
            CPU.

    Raises:
        MissingInputError: there is no such config or checkpoint, or no pretrained file that it needs.
        InputError: the config has no test pipeline or one whose images don't fit the backbone, the weights are of
            another architecture, belong on other pretrained ones, or are unsafe to read, or there is no such device.
    """

    def __init__(self, config: str | Path | Config, weights: str | Path | None, device: str | None = None) -> None:
        config = read_config(config)
        self.pipeline, self.model = inference_pipeline(config), build_model(config)
        check_input_sizes(config, self.model)
        if weights is None:
            print_log('The model has random weights, so its answers mean nothing: name trained weights.', 'current', 30)
        else:
            load_checkpoint(self.model, weights)
        self.model.to(check_device(device or get_device())).eval()

    @torch.inference_mode()
    def __call__(self,
                 images: Image | Sequence[Image],
                 expressions: str | Sequence[str],
                 batch_size: int = 8,
                 out: str | Path | None = None) -> list[RefSegResult]:
        """Answer expressions about images.

        Several images and as many expressions are taken in pairs; a single image goes with every expression, and a
        single expression with every image.

        Args:
            images: paths, or arrays of **RGB** uint8 (H, W, 3): OpenCV's own order is BGR
                (``image[..., ::-1]`` turns one into the other). Files are taken upright, as viewers show them: an
                EXIF orientation is applied. All are held in memory.
            expressions: what to look for.
            batch_size: pairs that the model sees at once. Default 8.
            out: a picture to draw, ``.png`` or ``.jpg``, with a panel for each answer. Default None, none is drawn.

        Returns:
            One per pair, in order, also where there is only one.

        Raises:
            MissingInputError: an image is missing.
            InputTypeError: an image is neither a path nor an array, or an expression is no string.
            InputError: an image is damaged or of another shape or type, an expression is blank, or the numbers of
                images and expressions don't go together; ``out`` isn't the name of a picture.
            FileError: ``out`` cannot be written.
        """
        images, expressions = _as_list(images), _as_list(expressions)
        pairs = _pair(len(images), len(expressions))
        if batch_size < 1:
            raise InputError(f'batch_size must be at least 1, got {batch_size}')
        for expression in expressions:
            _check_expression(expression)
        if out is not None:
            check_picture(out)
        pixels = [_load(image) for image in images]
        results = []
        for start in range(0, len(pairs), batch_size):
            batch = pairs[start:start + batch_size]
            samples = self._predict([(pixels[i], expressions[j]) for i, j in batch])
            results += [_result(sample, images[i]) for sample, (i, _) in zip(samples, batch, strict=True)]
        if out is not None:
            draw_answers([
                Answer(pixels[i], result.mask, f'{result.score:.2f}  {result.expression}')
                for (i, _), result in zip(pairs, results, strict=True)
            ], out)
        return results

    def _predict(self, questions: list[tuple[np.ndarray, str]]) -> list[RefSegDataSample]:
        data = [
            self.pipeline({'img': img, 'img_shape': img.shape[:2], 'ori_shape': img.shape[:2], 'text': text})
            for img, text in questions
        ]
        return self.model.test_step({key: [item[key] for item in data] for key in ('inputs', 'data_samples')})


def mask_score(mask: np.ndarray, logits: Tensor, warp_matrix: np.ndarray, input_size: tuple[int, int]) -> float:
    """Mean probability of a mask's pixels, each looked up among the logits' sigmoids bilinearly.

    Args:
        mask: bool (H, W), at the image's own size.
        logits: (h, w), in the frame of the network's input, its corners on the input's corners.
        warp_matrix: (2, 3), maps the image's to the input's pixel coordinates (x, y).
        input_size: height and width of the network's input in pixels.

    Returns:
        0 to 1; 0 for an empty mask.
    """
    y, x = np.nonzero(mask)
    if not len(x):
        return 0.0
    corner = np.maximum(np.array(input_size[::-1]) - 1, 1)
    places = (warp_matrix @ np.stack((x, y, np.ones_like(x)))).T / corner * 2 - 1
    grid = torch.as_tensor(places, dtype=torch.float32, device=logits.device)[None, None]
    probabilities = logits.float().sigmoid()[None, None]
    return F.grid_sample(probabilities, grid, padding_mode='border', align_corners=True).mean().item()


def _result(sample: RefSegDataSample, image: Image) -> RefSegResult:
    mask = sample.pred_sem_seg.data[0].cpu().numpy() != 0
    score = mask_score(mask, sample.seg_logits.data[0], sample.warp_matrix, sample.img_shape)
    return RefSegResult(mask, score, sample.text, None if isinstance(image, np.ndarray) else str(image))


def _as_list(values: Image | Sequence[Image]) -> list:
    return list(values) if isinstance(values, list | tuple) else [values]


def _pair(num_images: int, num_expressions: int) -> list[tuple[int, int]]:
    """Which image goes with which expression."""
    number = max(num_images, num_expressions)
    if not min(num_images, num_expressions) or {num_images, num_expressions} - {1, number}:
        raise InputError(f'{num_images} images and {num_expressions} expressions do not go together: give as many of '
                         'one as of the other, or a single image, or a single expression.')
    return [(i % num_images, i % num_expressions) for i in range(number)]


def _check_expression(expression: str) -> None:
    if not isinstance(expression, str):
        raise InputTypeError(f'an expression must be a string, got {type(expression).__name__}')
    if not expression.strip():
        raise InputError(f"the expression {expression!r} is blank: say what to look for, such as 'the left cup'")


def _load(image: Image) -> np.ndarray:
    """RGB uint8 (H, W, 3) of a file or a user's array."""
    if isinstance(image, str | Path):
        if not Path(image).is_file():
            raise MissingInputError(f'there is no image file {str(image)!r}')
        return read_image(image)
    if not isinstance(image, np.ndarray):
        raise InputTypeError(f'an image must be a path or an RGB array, got {type(image).__name__}; '
                             "np.asarray(image.convert('RGB')) makes an array of a PIL image")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f'an image array must be RGB, uint8 and (H, W, 3), got {image.dtype} and {image.shape}'
                         f'{_mend(image)}')
    return image


def _mend(image: np.ndarray) -> str:
    if image.ndim == 2:
        return '; grey becomes RGB by np.repeat(image[..., None], 3, axis=2)'
    if image.ndim == 4:
        return '; give several images as a list'
    if image.ndim == 3 and image.shape[2] == 4:
        return '; image[..., :3] leaves the alpha channel out'
    if np.issubdtype(image.dtype, np.floating):
        return '; values from 0 to 1 become uint8 by (255 * image).round().astype(np.uint8)'
    return ''
