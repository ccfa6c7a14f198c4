"""Finds in images what expressions refer to, with a model that mmrefseg exported. This one file is all the code.

It needs Python 3.10, numpy, onnxruntime, and OpenCV or Pillow (where both are there, OpenCV), and lies in the folder of
the exported model, beside ``refseg.json``::

    from refseg_onnx import answer
    for found in answer('street.jpg', ['the red car', 'the man left of it']):
        print(found.expression, found.score, found.box)   # found.mask is bool (H, W)

On the command line: ``python refseg_onnx.py street.jpg "the red car" --masks DIR``.
"""
from __future__ import annotations

import argparse
import hashlib
import html
import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

try:
    import onnxruntime
except ImportError:
    onnxruntime = None  # type: ignore[assignment]

MAX_PIXELS = 89_478_485  # as Pillow: larger pictures are perhaps made to fill the memory
os.environ.setdefault('OPENCV_IO_MAX_IMAGE_PIXELS', str(MAX_PIXELS))  # read once, when OpenCV is imported
try:
    import cv2
except ImportError:
    cv2 = None  # type: ignore[assignment]
try:
    from PIL import Image, ImageOps
except ImportError:
    Image = None  # type: ignore[assignment]

FORMAT = 1  # of the folder
LONGEST_EXPRESSION = 4096  # characters
MAX_IMAGE_BYTES = 1 << 28
MAX_NOTES_BYTES = 1 << 26  # of a JSON file in the folder
MAX_SIDE = 4096  # of the network's square, in pixels
_KINDS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM')  # for EPS Pillow runs Ghostscript, whatever the name
_GRAPHS = {'whole': ('model.onnx', ), 'split': ('image.onnx', 'text_and_mask.onnx')}
FAINTEST = 1 << 14  # of 16 bits; pictures without a brighter value hold fewer bits, and would look black


class RefSegError(ValueError):
    """A folder, image or expression that cannot be used; says why."""


def _read_notes(path: Path) -> dict[str, Any]:
    """A JSON object out of the folder, which may come from anybody."""
    try:
        if not path.is_file():  # a pipe would be waited for
            raise RefSegError(f'{path} is missing, or no file; copy the whole folder again')
        with path.open('rb') as file:
            content = file.read(MAX_NOTES_BYTES + 1)
        if len(content) > MAX_NOTES_BYTES:
            raise RefSegError(f'{path} has more than {MAX_NOTES_BYTES} bytes, as no exported model has')
        notes = json.loads(content.decode('utf-8'))
    except OSError as error:
        raise RefSegError(f'{path} cannot be read ({error.strerror})') from error
    except (ValueError, RecursionError) as error:  # also of a number of thousands of digits
        if isinstance(error, RefSegError):
            raise
        raise RefSegError(f'{path} is damaged ({error}); export the model again') from error
    if not isinstance(notes, dict):
        raise RefSegError(f'{path} is damaged: it holds no object; export the model again')
    return notes


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # which NaN is not


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _are_pairs(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_class(value: Any) -> bool:
    """Whether a text can stand between the brackets of a pattern, and does not end them."""
    return isinstance(value, str) and re.fullmatch(r'(?:[^\\\[\]]|\\.)+', value, re.DOTALL) is not None


# What stands in ``refseg.json`` and ``tokenizer.json``, and how it must be.
_NOTES: dict[str, Callable[[Any], bool]] = {
    'kind': lambda value: value == 'onnx', 'graph': lambda value: value in ('whole', 'split'),
    'size': lambda value: _is_whole(value, 1, MAX_SIDE),
    'num_tokens': lambda value: _is_whole(value, 3, LONGEST_EXPRESSION), 'mean': _is_colour, 'border': _is_colour,
    'std': lambda value: _is_colour(value) and min(value) > 0,
    'threshold': lambda value: _is_number(value) and 0 <= value <= 1, 'files': _are_pairs}
_VOCABULARY: dict[str, Callable[[Any], bool]] = {
    'merges': lambda value: _are_texts(value) and all(len(merge.split()) == 2 for merge in value),
    'special': lambda value: _are_texts(value) and len(value) == 2 and all(value),
    'endings': lambda value: _are_texts(value) and all(value), 'letters': _is_class,
    'numbers': _is_class, 'others': _is_class, 'entities': _are_pairs, 'remove': lambda value: isinstance(value, str),
    'replace': lambda value: _are_pairs(value) and all(len(character) == 1 for character in value)}


# --- Text to tokens ---------------------------------------------------------------------------------------------------

# UTF-8 that was read as Windows-1252, the usual accident: the bytes, and how Latin letters and quotes look then.
_WINDOWS_1252 = {bytes([i]).decode('cp1252', 'replace').replace('\ufffd', chr(i)): i for i in range(256)}
_LATER = ''.join(re.escape(_c) for _c, _byte in _WINDOWS_1252.items() if 0x80 <= _byte < 0xC0 and _byte != 0xA0)
_MISREAD = re.compile(f'[ÂÃ][{_LATER}]|â[{_LATER}][{_LATER}]')


class Tokenizer:
    """Byte-pair encoding of CLIP (arXiv 2103.00020).

    Args:
        path: ``tokenizer.json``: the merges in their order, the special tokens, which characters are letters and which
            numbers (Python's own lists change with its version), and the clean-up of text before all that.
        num_tokens: tokens per expression, start and end included.

    Raises:
        RefSegError: the file is damaged.
    """

    def __init__(self, path: Path, num_tokens: int) -> None:
        data = _read_notes(path)
        for name, is_right in _VOCABULARY.items():
            if name not in data or not is_right(data[name]):
                raise RefSegError(f'{path} is damaged: {name!r} is not as it was exported; export the model again')
        self.num_tokens = num_tokens
        whole = [i for first, last in ('!~', '¡¬', '®ÿ') for i in range(ord(first), ord(last) + 1)]
        rest = [i for i in range(256) if i not in whole]
        # Each byte has a visible character of its own: the bytes that are none borrow one beyond 255.
        self.character = {i: chr(i) for i in whole} | {byte: chr(256 + n) for n, byte in enumerate(rest)}
        symbols = list(self.character.values())
        merges = [tuple(merge.split()) for merge in data['merges']]
        words = symbols + [symbol + '</w>' for symbol in symbols] + [a + b for a, b in merges] + data['special']
        self.ids = {word: i for i, word in enumerate(words)}
        self.ranks = {pair: i for i, pair in enumerate(merges)}
        self.special, self.start, self.end = data['special'], *(self.ids[word] for word in data['special'])
        fixed = [f'(?i:{re.escape(word)})' for word in (*self.special, *data['endings'])]
        try:
            self.pattern = re.compile(
                '|'.join([*fixed, f'[{data["letters"]}]+', f'[{data["numbers"]}]', f'[{data["others"]}]+']))
        except re.error as error:
            raise RefSegError(f'{path} is damaged: its characters are none ({error})') from error
        self.replaced, self.entities = str.maketrans(data['replace']), data['entities']
        self.removed = dict.fromkeys(map(ord, data['remove']))

    def __call__(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids, int64 (B, num_tokens), and which of them are no padding, bool (B, num_tokens).

        Args:
            texts: B expressions.
        """
        rows = [[self.start, *self.encode(text)[:self.num_tokens - 2], self.end] for text in texts]
        ids = np.zeros((len(rows), self.num_tokens), np.int64)
        for row, values in zip(ids, rows, strict=True):
            row[:len(values)] = values
        return ids, np.arange(self.num_tokens) < np.array([[len(row)] for row in rows])

    def encode(self, text: str) -> list[int]:
        """Token ids of all of a text, without start and end.

        Args:
            text: the text.
        """
        return [self.ids[part] for word in self.pattern.findall(self.clean(text)) for part in self._parts(word)]

    def _parts(self, word: str) -> list[str]:
        if word in self.special:
            return [word]
        *parts, last = (self.character[byte] for byte in word.encode('utf-8'))
        parts.append(last + '</w>')
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            merged, i = [], 0
            while i < len(parts):
                step = 2 if tuple(parts[i:i + 2]) == best else 1
                merged.append(''.join(parts[i:i + step]))
                i += step
            parts = merged
        return parts

    def clean(self, text: str) -> str:
        """Mended, without HTML's escapes, in lower case and with single spaces.

        Args:
            text: the text.
        """
        lines, in_html = [], False
        for line in text.split('\n'):
            in_html = in_html or '<' in line
            lines.append(self._mended(line, unescape=not in_html))
        return ' '.join(html.unescape(html.unescape('\n'.join(lines))).split()).lower()

    def _mended(self, text: str, unescape: bool) -> str:
        for _ in range(LONGEST_EXPRESSION):
            before = text
            if unescape:
                text = re.sub('&#?[0-9A-Za-z]{1,24};', self._unescaped, text)
            text = _decoded_again(text).translate(self.replaced)
            text = re.sub('\x1b\\[[0-9;]*[a-zA-Z]', '', text).translate(self.removed)  # colours of a terminal
            text = unicodedata.normalize('NFC', text)
            if text == before:
                return text
            if len(text) > 16 * LONGEST_EXPRESSION:
                break
        raise RefSegError('an expression grows without end when it is mended: tokenizer.json is damaged, or the text')

    def _unescaped(self, match: re.Match[str]) -> str:
        escape = match[0]
        character = self.entities.get(escape) or html.unescape(escape)
        return escape if ';' in character and escape not in self.entities else character


def _decoded_again(text: str) -> str:
    """UTF-8 that was read as Windows-1252 ('cafÃ©'), as it was meant: the whole text, or parts of it."""
    if not _MISREAD.search(text):
        return text
    try:
        return bytes(_WINDOWS_1252[character] for character in text).decode('utf-8')
    except (KeyError, UnicodeDecodeError):
        return _MISREAD.sub(lambda match: bytes(_WINDOWS_1252[c] for c in match[0]).decode('utf-8', 'replace'), text)


# --- Pictures ---------------------------------------------------------------------------------------------------------


def read_image(image: Any) -> np.ndarray:
    """RGB uint8 (H, W, 3), upright.

    Args:
        image: path, bytes of an image file, array of RGB uint8 (H, W, 3), or picture of Pillow.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise RefSegError(f'an array must be RGB, uint8 and (H, W, 3), got {image.dtype} and {image.shape}')
        return image
    if Image is not None and isinstance(image, Image.Image):
        return _of_pillow(image, 'the image')
    if not isinstance(image, str | bytes | os.PathLike):
        raise RefSegError(f'an image must be a path, bytes, array or picture of Pillow, got {type(image).__name__}')
    content: Any = image
    name = 'the image'
    if not isinstance(image, bytes):
        name = str(image)
        try:
            if os.path.exists(image) and not os.path.isfile(image):
                raise RefSegError(f'{name} cannot be read: it is no file')
            with open(image, 'rb') as file:
                content = file.read(MAX_IMAGE_BYTES + 1)
        except OSError as error:
            raise RefSegError(f'{name} cannot be read ({error.strerror})') from error
        except ValueError as error:  # of a NUL in it, or half a character
            if isinstance(error, RefSegError):
                raise
            raise RefSegError(f'{name!a} is no path ({error})') from error
    if len(content) > MAX_IMAGE_BYTES:
        raise RefSegError(f'{name} has more than {MAX_IMAGE_BYTES} bytes')
    return _decode(content, name)


def _decode(content: bytes, name: str) -> np.ndarray:
    try:
        if cv2 is not None:
            kind = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), kind) if content else None
            if pixels is None:
                raise RefSegError(f'{name} is damaged, or no image of a kind that OpenCV reads')
            return np.ascontiguousarray(_to_8_bits(pixels, name)[..., ::-1])
        if Image is None:
            raise ImportError('an image is read by OpenCV or Pillow, and neither is here: pip install pillow')
        with Image.open(BytesIO(content), formats=_KINDS) as picture:
            return _of_pillow(picture, name)
    except (OSError, ValueError, SyntaxError, MemoryError) as error:
        if isinstance(error, RefSegError):
            raise
        raise RefSegError(f'{name} is damaged, or no image ({error})') from error
    except Exception as error:  # OpenCV's own class, there only where OpenCV is, and Pillow's of too many pixels
        if type(error).__module__.split('.')[0] not in ('cv2', 'PIL'):
            raise
        raise RefSegError(f'{name} cannot be decoded ({error})') from error


def _of_pillow(picture: Any, name: str) -> np.ndarray:
    if picture.width * picture.height > MAX_PIXELS:
        raise RefSegError(f'{name} has {picture.width} x {picture.height} pixels, more than {MAX_PIXELS}')
    if picture.mode in ('I', 'F'):
        raise RefSegError(f"{name} is of Pillow's mode {picture.mode!r}, whose range is not known: scale it to 8 bits")
    has_16_bits = any(';16' in str(tile[-1]) for tile in getattr(picture, 'tile', ()))
    if picture.mode.startswith('I;16'):
        picture = Image.fromarray(_to_8_bits(np.asarray(picture).astype(np.uint16), name))
    pixels = np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))
    if has_16_bits:  # colours, of which Pillow gives the upper 8
        _to_8_bits(pixels.astype(np.uint16) << 8, name)
    return pixels


def _to_8_bits(pixels: np.ndarray, name: str) -> np.ndarray:
    """The upper 8 of 16 bits."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16 or 0 < pixels.max() < FAINTEST:
        raise RefSegError(f'{name} has values of type {pixels.dtype} up to {pixels.max()}, whose range is not known or '
                          'is filled in part, so that it would look black: scale it to 8 bits')
    return (pixels >> 8).astype(np.uint8)


def _resample(array: np.ndarray, positions: np.ndarray, axis: int, outside: str) -> np.ndarray:
    """Values between those of an axis, by Keys's cubic kernel with a = -0.75, as OpenCV and PyTorch have it.

    Beyond the ends the last value goes on (``outside='edge'``), or there is 0 (``'zero'``).
    """
    size = array.shape[axis]
    result = np.float32(0)
    for tap in range(-1, 3):
        index = np.floor(positions).astype(np.int64) + tap
        d = np.abs(positions - index)
        weight = np.where(d <= 1, (1.25 * d - 2.25) * d * d + 1, ((-0.75 * d + 3.75) * d - 6) * d + 3)
        if outside == 'zero':
            weight[(index < 0) | (index >= size)] = 0
        shape = [-1 if i == axis else 1 for i in range(array.ndim)]
        result = result + weight.astype(np.float32).reshape(shape) * array.take(index.clip(0, size - 1), axis)
    return result


def _warp(array: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: Sequence[float]) -> np.ndarray:
    """Bring a picture to another frame, cubically: ``matrix`` takes places (x, y) of the result to those of ``array``.

    OpenCV does it where it is there, so that answers are those of mmrefseg to the last pixel.
    """
    if cv2 is not None:
        return cv2.warpAffine(array, matrix, size[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                              borderMode=cv2.BORDER_CONSTANT, borderValue=tuple(border))
    around = np.round(border).astype(np.float32) if array.dtype == np.uint8 else np.float32(border)
    around = around if array.ndim == 3 else around[0]
    rows, columns = (np.arange(n) * matrix[i, i] + matrix[i, 2] for n, i in ((size[0], 1), (size[1], 0)))
    warped = _resample(_resample(array - around, rows, 0, 'zero'), columns, 1, 'zero') + around
    return warped.round().clip(0, 255).astype(np.uint8) if array.dtype == np.uint8 else warped


class Prepared(NamedTuple):
    """An image as the network takes it.

    Args:
        pixels: float32 (3, S, S), normalised.
        size: height and width of the upright image in pixels.
        matrix: float64 (2, 3), maps pixel coordinates (x, y) of the image to those of the network's square.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    matrix: np.ndarray


@dataclass(frozen=True, eq=False)
class Answer:
    """What an expression refers to. It holds the network's small map; everything else is computed when it is asked for.

    Args:
        expression: as asked.
        size: height and width of the upright image in pixels.
        threshold: probability that a pixel of the mask exceeds.
        logits: float32 (h, w), in the frame of the network's square.
        side: side of that square in pixels.
        matrix: see :class:`Prepared`.
    """

    expression: str
    size: tuple[int, int]
    threshold: float
    logits: np.ndarray
    side: int
    matrix: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """float32 (H, W), 0 to 1, at the image's own size; computed anew each time, as it is large."""
        soft = 1 / (1 + np.exp(-self.logits.astype(np.float32).clip(-80, 80)))
        for axis in (0, 1):  # corner to corner
            soft = _resample(soft, np.linspace(0, soft.shape[axis] - 1, self.side), axis, 'edge')
        return _warp(soft, self.matrix, self.size, (0.0, )).clip(0, 1)

    @cached_property
    def _mask_and_score(self) -> tuple[np.ndarray, float]:
        probability = self.probability
        mask = probability > self.threshold
        return mask, float(probability[mask].mean(dtype=np.float64)) if mask.any() else 0.0

    @property
    def mask(self) -> np.ndarray:
        """bool (H, W), True on the referent."""
        return self._mask_and_score[0]

    @property
    def score(self) -> float:
        """Mean probability of the mask's pixels, 0 to 1; 0 where the mask is empty."""
        return self._mask_and_score[1]

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """Left, top, right and bottom of the mask in pixels, the last two just behind it; None where it is empty."""
        rows, columns = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


# --- The model --------------------------------------------------------------------------------------------------------


class Model:
    """A folder that mmrefseg exported. Threads may share it.

    Args:
        folder: the folder. Default None: the one where this file lies.
        threads: threads of a question; 0 for as many as there are cores. Default 0.
        providers: onnxruntime's names of what computes. Default None: CUDA where it is there, else the CPU.
        check: whether the files are compared with their SHA-256 in ``refseg.json``. Default True.
    """

    def __init__(self, folder: str | Path | None = None, threads: int = 0, providers: Sequence[str] | None = None,
                 check: bool = True) -> None:
        if onnxruntime is None:
            raise RefSegError('onnxruntime is missing: pip install onnxruntime')
        self.folder = Path(folder or Path(__file__).parent)
        self.info = read_info(self.folder, check)
        there = onnxruntime.get_available_providers()
        self._providers = list(providers or [name for name in ('CUDAExecutionProvider', ) if name in there]
                               + ['CPUExecutionProvider'])
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.log_severity_level = 3
        self.tokenizer = Tokenizer(self.folder / 'tokenizer.json', self.info['num_tokens'])
        *image, text = map(self._session, _GRAPHS[self.info['graph']])
        self._image, self._text = image[0] if image else None, text

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        try:
            return onnxruntime.InferenceSession(str(self.folder / name), self._options, self._providers)
        except Exception as error:  # onnxruntime has a class for each of its codes, and no common one
            raise RefSegError(f'{self.folder / name} cannot be loaded by onnxruntime {onnxruntime.__version__}; it was '
                              f'checked with {self.info["onnxruntime"]}. ({error})') from error

    def _run(self, session: onnxruntime.InferenceSession, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        try:
            names = [value.name for value in session.get_inputs()]
        except UnicodeDecodeError as error:
            raise RefSegError(f'{self.folder}: names in a network are damaged ({error}); export the model again'
                              ) from error
        if len(names) != len(inputs):
            raise RefSegError(f'{self.folder}: a network takes {", ".join(names)}, which is not what refseg.json says')
        try:
            return session.run(None, dict(zip(names, inputs, strict=True)))
        except Exception as error:  # as above
            raise RefSegError(f'{self.folder}: onnxruntime cannot compute the answer ({error})') from error

    def prepare(self, image: Any) -> Prepared:
        """Read an image and put it into the middle of the network's square.

        Args:
            image: as :func:`read_image` takes it.
        """
        pixels, side = read_image(image), self.info['size']
        height, width = pixels.shape[:2]
        scale = min(side / height, side / width)
        matrix = np.array([[scale, 0, (side - width * scale) / 2], [0, scale, (side - height * scale) / 2]])
        if (height, width) != (side, side):
            back = np.array([[1 / scale, 0, -matrix[0, 2] / scale], [0, 1 / scale, -matrix[1, 2] / scale]])
            pixels = _warp(pixels, back, (side, side), self.info['border'])
        mean, std = (np.array(self.info[name], np.float32) for name in ('mean', 'std'))
        return Prepared(((pixels - mean) / std).transpose(2, 0, 1), (height, width), matrix)

    def encode(self, images: Sequence[Prepared]) -> list[np.ndarray]:
        """What can be computed of images without a text; of an unsplit model that is only a stack of the images.

        Args:
            images: from :meth:`prepare`.
        """
        stacked = np.stack([image.pixels for image in images])
        return [stacked] if self._image is None else self._run(self._image, [stacked])

    def ask(self, shared: Sequence[np.ndarray], images: Sequence[Prepared], questions: Sequence[tuple[int, str]],
            threshold: float | None = None) -> list[Answer]:
        """Answer expressions about encoded images, all at once.

        Args:
            shared: what :meth:`encode` gave.
            images: its images.
            questions: which image, and what to look for.
            threshold: probability that a pixel of a mask exceeds. Default None: the exported model's.
        """
        threshold = self.info['threshold'] if threshold is None else threshold
        if not _is_number(threshold) or not 0 <= threshold <= 1:
            raise RefSegError(f'threshold must be a probability from 0 to 1, got {threshold!r}')
        token_ids, token_mask = self.tokenizer([_checked(text) for _, text in questions])
        image_index = np.array([i for i, _ in questions], np.int64)
        logits = self._run(self._text, [*shared, token_ids, token_mask, image_index])[0]
        if logits.ndim != 3 or len(logits) != len(questions) or not logits.size or not np.isfinite(logits).all():
            raise RefSegError(f'{self.folder}: the network gave no map of finite numbers for each expression')
        return [Answer(text, images[i].size, threshold, one, self.info['size'], images[i].matrix)
                for (i, text), one in zip(questions, logits, strict=True)]

    def answer(self, image: Any, expressions: str | Sequence[str], threshold: float | None = None,
               batch_size: int = 8) -> list[Answer]:
        """What expressions refer to in an image.

        Args:
            image: path, bytes of an image file, array of RGB uint8 (H, W, 3), or picture of Pillow.
            expressions: one, or several.
            threshold: probability that a pixel of a mask exceeds. Default None: the exported model's.
            batch_size: expressions at once. Default 8.

        Returns:
            An answer per expression, in order.

        Raises:
            RefSegError: the image cannot be read, an expression is blank or endless, or the threshold out of range.
        """
        texts = [expressions] if isinstance(expressions, str) else list(expressions)
        for text in texts:
            _checked(text)
        if not _is_whole(batch_size, 1, sys.maxsize):
            raise RefSegError(f'batch_size must be a whole number from 1, got {batch_size!r}')
        prepared = [self.prepare(image)]
        shared, answers = self.encode(prepared), []
        for start in range(0, len(texts), batch_size):
            answers += self.ask(shared, prepared, [(0, text) for text in texts[start:start + batch_size]], threshold)
        return answers


def _checked(text: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise RefSegError(f'the expression {text!r} is blank or no string: say what to look for')
    if len(text) > LONGEST_EXPRESSION:
        raise RefSegError(f'an expression has {len(text)} characters, more than {LONGEST_EXPRESSION}')
    if any('\ud800' <= character <= '\udfff' for character in text):
        raise RefSegError(f'the expression {text[:80]!a} has half a character (a lone surrogate)')
    return text


def read_info(folder: Path, check: bool = True) -> dict[str, Any]:
    """``refseg.json`` of a folder, if the folder is one of this version, and whole.

    Args:
        folder: the folder.
        check: whether each file is compared with its SHA-256. Default True.
    """
    path = folder / 'refseg.json'
    if not path.exists():
        raise RefSegError(f'{folder} is no exported model: it has no refseg.json')
    info = _read_notes(path)
    version, kind = info.get('format'), info.get('kind')
    if type(version) is not int or version != FORMAT:
        raise RefSegError(f'{folder} has format {version!r}, and this refseg_onnx.py reads {FORMAT}. Use the '
                          'refseg_onnx.py that lies in the folder, or export the model again')
    if kind == 'pt2':
        raise RefSegError(f'{folder} holds files of the kind {kind!r}, not for onnxruntime; its README.md says how '
                          'they are used')
    for name, is_right in _NOTES.items():
        if name not in info or not is_right(info[name]):
            raise RefSegError(f'{path} is damaged: {name!r} is {info.get(name)!r:.80}; export the model again')
    if unknown := {*_GRAPHS[info['graph']], 'tokenizer.json'} - info['files'].keys():
        raise RefSegError(f'{path} is damaged: it does not tell the SHA-256 of {min(unknown)}; export the model again')
    for name, expected in info['files'].items():
        path = folder / Path(name).name
        if not path.is_file():
            raise RefSegError(f'{path} is missing; copy the whole folder again')
        if check and _sha256(path) != expected:
            raise RefSegError(f'{path} is not the file that was exported (its SHA-256 is another); copy or export it '
                              'again')
    return info


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _here() -> Model:
    return Model()


def answer(image: Any, expressions: str | Sequence[str], threshold: float | None = None) -> list[Answer]:
    """As :meth:`Model.answer`, of the model in whose folder this file lies, which is loaded once.

    Args:
        image: see there.
        expressions: see there.
        threshold: see there. Default None.
    """
    return _here().answer(image, expressions, threshold)


def _write_mask(mask: np.ndarray, path: Path) -> None:
    pixels = 255 * mask.astype(np.uint8)
    path.unlink(missing_ok=True)  # a link that came with the folder would be written through
    if cv2 is not None:
        path.write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    else:
        Image.fromarray(pixels).save(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line.

    Args:
        arguments: its words. Default None: those that the program was started with.
    """
    parser = argparse.ArgumentParser(description='Find in an image what expressions refer to.')
    parser.add_argument('image', help='an image file')
    parser.add_argument('expressions', metavar='EXPRESSION', nargs='+', help='what to look for, in quotes')
    parser.add_argument('--folder', help='the exported model (default: where this file lies)')
    parser.add_argument('--threshold', type=float, help="probability that a pixel of a mask exceeds")
    parser.add_argument('--masks', type=Path, metavar='DIR', help='folder for a PNG of each mask')
    args = parser.parse_args(arguments)
    try:
        answers = Model(args.folder).answer(args.image, args.expressions, args.threshold)
        if args.masks:
            args.masks.mkdir(parents=True, exist_ok=True)
        for number, found in enumerate(answers, 1):
            print(f'{found.expression}: score {found.score:.2f}, box {found.box}')
            if args.masks:
                _write_mask(found.mask, args.masks / f'{number:03d}.png')
    except (RefSegError, OSError) as error:
        sys.exit(f'refseg_onnx: {error}')


if __name__ == '__main__':
    main()
