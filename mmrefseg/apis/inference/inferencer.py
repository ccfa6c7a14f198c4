"""Asking a model about images."""
from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, cast

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmrefseg.engine.setup_checks import check_input_sizes
from mmrefseg.errors import InputError, UserError
from mmrefseg.evaluation.functional.calibration import calibration_of
from mmrefseg.registry import INFERENCERS
from mmrefseg.structures import RefSegDataSample
from mmrefseg.utils.collect_env import computes_in_bfloat16
from mmrefseg.visualization import Panel, draw_answers
from mmrefseg.visualization.figure_style import check_picture

from ..config_to_model import build_model, check_device, inference_pipeline, read_config
from ..official_weights import load_any_checkpoint
from ..sharing.model_folder import find_model_folder
from .asked_image import AskedImage
from .expressions_per_image import Asked, asked_of, check_expressions, count_images
from .image_sources import Images, ImageSource, OneImage, sources_of
from .result import RefSegResult
from .winograd import use_winograd

_DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
_AGAIN = 'The answers so far are good; build a new inferencer for the rest.'


class PreparedImage(NamedTuple):
    """An image as the network takes it.

    Args:
        source: where it is from.
        planes: uint8 (3, h, w).
        sample: what the pipeline noted of it.
    """

    source: ImageSource
    planes: Tensor
    sample: RefSegDataSample


@INFERENCERS.register_module()
class RefSegInferencer:
    """Finds in images what expressions refer to::

        ask = RefSegInferencer('sera_tiny_refshapes', 'work_dirs/quickstart/iter_600.pth')
        for result in ask('street.jpg', ['the red car', 'the man left of it'], out='answers.png'):
            print(result.expression, result.score, result.box)

    Images are prepared by the config's test pipeline; each is encoded once, however many expressions ask about it. The
    model stays as :attr:`model`, in evaluation mode; on CPUs its 3×3 convolutions may be computed in another way than
    while it is evaluated, see :mod:`.winograd`. Nothing is remembered from one call to the next, so that threads
    may share an inferencer.

    Args:
        config: path of a config, the name of one that comes with mmrefseg (see :func:`mmrefseg.config_path`), or a
            config; or a shared model with its weights, a folder or ``'hf:owner/name'`` on the Hugging Face hub.
        weights: path or address of a checkpoint of exactly this architecture, an official one of DETRIS or CRIS
            included; one that holds only what was trained also needs the config's pretrained files. None keeps random
            weights and warns: the answers mean nothing then; of a shared model it takes its own. Default None.
        device: where the model runs, such as ``'cpu'``, ``'cuda:1'`` or ``'mps'``; ``'auto'`` or None is a GPU if there
            is one, else the CPU. Default ``'auto'``.
        dtype: ``'float32'``, in which models are evaluated; ``'bfloat16'`` or ``'float16'`` for autocast in it;
            ``'auto'``, bfloat16 where the device has instructions for it, else float32. Default ``'float32'``.
        compile: whether ``torch.compile`` makes the model faster after a slow first question. Default False.

    Raises:
        MissingInputError: there is no such config or checkpoint, or no pretrained file that it needs.
        InputError: the config has no test pipeline or one whose images don't fit the backbone, the weights are of
            another architecture, belong on other pretrained ones, or are unsafe to read, or there is no such device or
            ``dtype``.
    """

    def __init__(self,
                 config: str | Path | Config,
                 weights: str | Path | None = None,
                 device: str | None = 'auto',
                 dtype: str = 'float32',
                 compile: bool = False) -> None:
        if weights is None and (pack := find_model_folder(config)) is not None:
            config, weights = pack
        config = read_config(config)
        self.pipeline, self.model = inference_pipeline(config), build_model(config)
        check_input_sizes(config, self.model)
        if weights is None:
            print_log('The model has random weights, so its answers mean nothing: name trained weights.', 'current', 30)
        else:
            load_any_checkpoint(self.model, weights)
        self.device = check_device(get_device() if device in (None, 'auto') else device)
        self.dtype = _choose_dtype(dtype, self.device.type)
        self.model.to(self.device).eval()
        use_winograd(self.model)
        self.calibration = calibration_of(self.model.test_cfg.get('calibration'))
        self._encode_image, self._answer = self.model.encode_image, self.model.answer
        if compile:
            self._encode_image, self._answer = torch.compile(self._encode_image), torch.compile(self._answer)

    def __call__(self,
                 images: Images,
                 expressions: str | Sequence[str | Sequence[str]],
                 batch_size: int = 8,
                 out: str | Path | None = None,
                 threshold: float | None = None) -> list[RefSegResult]:
        """Find in images what expressions refer to.

        Several images and as many expressions are taken in pairs, where an expression may be a list of several; a
        single image goes with every expression, and a single expression with every image.

        Args:
            images: paths, addresses (http, https), bytes, file objects, Pillow's images, arrays of **RGB** uint8
                (H, W, 3), tensors (3, H, W), folders, patterns such as ``'photos/*.jpg'``, or an iterable of these.
                OpenCV's own order is BGR (``image[..., ::-1]`` turns one into the other). Files, bytes and Pillow's
                images are taken upright, as viewers show them: an EXIF orientation is applied.
            expressions: what to look for.
            batch_size: expressions that the model sees at once. Default 8.
            out: a picture to draw, such as ``answers.png``, with a panel for each answer. Default None, none is drawn.
            threshold: probability that a pixel of a mask exceeds. Default None, the config's.

        Returns:
            One answer per pair, in order, also where there is only one.

        Raises:
            MissingInputError: an image is missing.
            FileError: an image cannot be read or downloaded, or ``out`` cannot be written.
            InputTypeError: an image is none of the above, or an expression is no string.
            InputError: an image is damaged or of another shape or type, a folder holds none, an expression is blank,
                the numbers of images and expressions don't go together, a number is out of range, or ``out`` isn't the
                name of a picture.
        """
        self.check_numbers(batch_size, threshold)
        if out is not None:
            check_picture(out)
        results = list(self._run(asked_of(images, expressions), batch_size, threshold))
        if out is not None:
            draw_answers(_panels(results), out, len(results))
        return results

    def stream(self,
               images: Images | Iterable[tuple[OneImage | ImageSource, str | Sequence[str]]],
               expressions: str | Sequence[str] | None = None,
               batch_size: int = 8,
               threshold: float | None = None,
               progress: bool = True,
               workers: int = 0,
               on_error: Callable[[ImageSource, UserError], None] | None = None) -> Iterator[RefSegResult]:
        """Answer expressions about any number of images, one answer after the other, in bounded memory.

        It may be left at any time. An image that cannot be read is reported and left out.

        Args:
            images: as a call takes them, also endless; without ``expressions``, pairs of an image and its expressions.
            expressions: what to look for in every image. Default None.
            batch_size: expressions that the model sees at once. Default 8.
            threshold: probability that a pixel of a mask exceeds. Default None, the config's.
            progress: whether to show how far it is. Default True.
            workers: threads that read and prepare images ahead. Default 0: each is read when its turn comes.
            on_error: called with each image that cannot be read and the reason. Default None, a line in the log.

        Returns:
            The answers; those of an image follow each other.

        Raises:
            InputTypeError: an image or expression is none.
            InputError: an expression is blank, a folder holds no image, or a number is out of range.
        """
        self.check_numbers(batch_size, threshold)
        if workers < 0:
            raise InputError(f'workers must be at least 0, got {workers}')
        asked: Iterable[Asked]
        if expressions is None:
            pairs = cast(Iterable[tuple[OneImage | ImageSource, str | Sequence[str]]], images)
            asked = (Asked(image if isinstance(image, ImageSource) else ImageSource(image), check_expressions(texts))
                     for image, texts in pairs)
        else:
            texts = check_expressions(expressions)
            asked = (Asked(source, texts) for source in sources_of(cast(Images, images)))
        if progress:
            asked = track(asked, 'asking', total=count_images(cast(Images, images)), console=Console(stderr=True))
        return self._run(asked, batch_size, threshold, on_error or _report, workers)

    def image(self, image: OneImage) -> AskedImage:
        """Read and encode one image, to ask about it again and again.

        Args:
            image: path, address, bytes, file object, Pillow's image, array or tensor.

        Raises:
            UserError: as for a call.
        """
        prepared = self.prepare(ImageSource(image))
        return AskedImage(self, prepared, self._encode([prepared]))

    def prepare(self, source: ImageSource) -> PreparedImage:
        """Read an image and take it through the pipeline.

        Args:
            source: the image.

        Raises:
            UserError: it cannot be read.
        """
        image = source.read()
        size = image.shape[:2]
        item = self.pipeline({'img': image, 'img_shape': size, 'ori_shape': size, 'text': ''})
        return PreparedImage(source, item['inputs'], item['data_samples'])

    @staticmethod
    def check_numbers(batch_size: int, threshold: float | None) -> None:
        """Refuse numbers that are out of range.

        Args:
            batch_size: see :meth:`__call__`.
            threshold: see :meth:`__call__`.

        Raises:
            InputError: names the number.
        """
        if batch_size < 1:
            raise InputError(f'batch_size must be at least 1, got {batch_size}')
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError(f'threshold must be a probability from 0 to 1, got {threshold}')

    def _run(self, asked: Iterable[Asked], batch_size: int, threshold: float | None,
             on_error: Callable[[ImageSource, UserError], None] | None = None,
             workers: int = 0) -> Iterator[RefSegResult]:
        """Answer, with as many images at once as make a batch of expressions."""
        group: list[tuple[PreparedImage, list[str]]] = []
        for (source, texts), prepare in _ahead(asked, lambda one: self.prepare(one.source), workers):
            try:
                group.append((prepare(), texts))
            except UserError as error:
                if on_error is None:
                    raise
                on_error(source, error)
            if sum(len(texts) for _, texts in group) >= batch_size:
                yield from self._answer_group(group, batch_size, threshold)
                group = []
        if group:
            yield from self._answer_group(group, batch_size, threshold)

    def _answer_group(self, group: list[tuple[PreparedImage, list[str]]], batch_size: int,
                      threshold: float | None) -> Iterator[RefSegResult]:
        prepared = [image for image, _ in group]
        shared = self._encode(prepared)
        questions = [(i, text) for i, (_, texts) in enumerate(group) for text in texts]
        for start in range(0, len(questions), batch_size):
            yield from self.answer_batch(shared, prepared, questions[start:start + batch_size], threshold)

    def _encode(self, prepared: list[PreparedImage]) -> Tensor | tuple:
        with self.computing():
            return self._encode_image(self.model.data_preprocessor.prepare_images([image.planes for image in prepared]))

    def answer_batch(self, shared: Tensor | tuple, prepared: list[PreparedImage], questions: list[tuple[int, str]],
                     threshold: float | None) -> list[RefSegResult]:
        """Answer expressions about images that are encoded.

        Args:
            shared: what ``model.encode_image`` gave.
            prepared: its images.
            questions: which image, and what to look for.
            threshold: see :meth:`__call__`.
        """
        images = [prepared[i] for i, _ in questions]
        with self.computing():
            text = self.model.data_preprocessor.prepare_text([text for _, text in questions])
            index = torch.tensor([i for i, _ in questions], device=self.device)
            logits = self._answer(shared, **text, image_index=index, data_samples=[image.sample for image in images])
            logits = logits[:, 0].float().cpu()
        threshold = self.model.test_cfg['threshold'] if threshold is None else threshold
        return [
            RefSegResult(text, image.source, tuple(image.sample.ori_shape[:2]), threshold, one.clone(),
                         (image.planes.shape[1], image.planes.shape[2]), image.sample.warp_matrix, self.calibration)
            for (_, text), image, one in zip(questions, images, logits, strict=True)
        ]

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Without gradients, in the chosen type; says what to do where the device gives out."""
        try:
            with torch.inference_mode(), torch.autocast(
                    self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                yield
        except torch.OutOfMemoryError as error:
            raise InputError(f'the memory of {self.device} is too small for this batch ({error}). Lower batch_size, or '
                             "use dtype='auto'") from error
        except torch.AcceleratorError as error:
            raise InputError(f'{self.device} has stopped working ({error}). {_AGAIN}') from error


def _ahead(items: Iterable[Asked], work: Callable[[Asked], PreparedImage],
           workers: int) -> Iterator[tuple[Asked, Callable[[], PreparedImage]]]:
    """Each item with what gives the work's result or its error, which threads begin some items ahead."""
    if not workers:
        yield from ((item, partial(work, item)) for item in items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Asked, Callable[[], PreparedImage]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(work, item).result))
            if len(waiting) > 2 * workers:
                yield waiting.popleft()
        yield from waiting


def _choose_dtype(name: str, device_type: str) -> torch.dtype:
    if name == 'auto':
        # Apple's GPUs take bfloat16 only in newer systems, and gain little by it.
        name = 'bfloat16' if device_type != 'mps' and computes_in_bfloat16(device_type) else 'float32'
    if name not in _DTYPES:
        raise InputError(f"dtype is {name!r}; it must be 'auto', {', '.join(map(repr, _DTYPES))}")
    return _DTYPES[name]


def _panels(results: list[RefSegResult]) -> Iterator[Panel]:
    """What is drawn, an image at a time: many photos would fill the memory."""
    for source, answers in groupby(results, key=lambda result: result.image):
        image = source.read()
        yield from (Panel(image, result.mask, result.caption()) for result in answers)


def _report(source: ImageSource, error: UserError) -> None:
    print_log(f'{source.name} is left out: {error}', 'current', logging.WARNING)
