"""What to look at in a folder of one's own data before training on it."""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from rich.markup import escape
from rich.progress import track

from mmrefseg.errors import MissingInputError, UserError
from mmrefseg.structures.mask_formats import draw_mask
from mmrefseg.structures.mask_position import position_of
from mmrefseg.utils.files import MAX_IMAGE_BYTES, read_regular
from mmrefseg.utils.image_header import read_image_header
from mmrefseg.utils.text_formatting import counted

from .duplicate_images import Fingerprint, find_copies, fingerprint_of
from .expression_kind import nouns_of
from .json_line_format import iterate_lines
from .json_lines import OwnLines
from .preparation import validate
from .prepared_folder import ANNOTATIONS, IMAGES
from .transforms.loading import decode_image

if TYPE_CHECKING:
    from open_clip import SimpleTokenizer

TINY = 0.001
"""Masks of less than this share of their image are called tiny."""

FEW = 0.1
"""Where fewer of train's images than this share are asked about two objects, words need not matter."""

_SIDE = 360
_MOST_COMPARED = 1000  # expressions of an image with which each of its others is compared
_EMPTY_WORDS = frozenset(('the', 'a', 'an', 'of', 'is', 'that', 'one'))


def _clip_tokenizer() -> SimpleTokenizer:
    from open_clip import SimpleTokenizer  # here, as it takes seconds

    return SimpleTokenizer()


class Shown(NamedTuple):
    """A sample to look at.

    Args:
        caption: split and expressions.
        image: RGB uint8 (H, W, 3), as its mask was drawn, at most 360 pixels high and wide.
        mask: uint8 (H, W), 1 inside.
    """

    caption: str
    image: np.ndarray
    mask: np.ndarray


@dataclass
class Findings:
    """What a folder holds; entries of lists begin with file and line.

    Args:
        num_tokens: tokens that the text encoder reads, start and end included.
        num_samples: samples to keep, photos that are turned apart, of which as many are kept.
    """

    num_tokens: int
    num_samples: int
    splits: dict[str, dict[str, int]] = field(default_factory=dict, init=False)
    broken: list[str] = field(default_factory=list, init=False)
    empty: list[str] = field(default_factory=list, init=False)
    tiny: list[str] = field(default_factory=list, init=False)
    repeated: list[str] = field(default_factory=list, init=False)
    ambiguous: list[str] = field(default_factory=list, init=False)
    too_long: list[str] = field(default_factory=list, init=False)
    duplicates: list[str] = field(default_factory=list, init=False)
    single: list[str] = field(default_factory=list, init=False)
    turned: list[str] = field(default_factory=list, init=False)
    tokens: Counter[int] = field(default_factory=Counter, init=False)
    words: Counter[str] = field(default_factory=Counter, init=False)
    classes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter), init=False)
    positions: Counter[str] = field(default_factory=Counter, init=False)
    samples: list[Shown] = field(default_factory=list, init=False)
    _tokenizer: SimpleTokenizer = field(default_factory=_clip_tokenizer, init=False, repr=False)

    @property
    def untrained(self) -> list[str]:
        """What other splits ask for, and train never does; the most frequent first."""
        train = self.classes.get('train', Counter())
        others = sum((counts for split, counts in self.classes.items() if split != 'train'), Counter())
        return [f'{name} ({counted(number, "time")})' for name, number in others.most_common() if name not in train]

    def add_expression(self, text: str, split: str, where: str) -> None:
        """Count words and tokens, and by its first noun what is asked for.

        Args:
            text: the expression.
            split: its split.
            where: file and line.
        """
        self.words.update(text.lower().split())
        self.classes[split].update(nouns_of(text).split()[:1])
        tokens = len(self._tokenizer.encode(text)) + 2
        self.tokens[tokens] += 1
        if tokens > self.num_tokens:
            self.too_long.append(f'{where}: {tokens} tokens: {text}')

    def add_mask(self, mask: np.ndarray, where: str) -> None:
        """Count where a mask lies, and note it if it is empty or tiny.

        Args:
            mask: uint8 (H, W), 1 inside.
            where: file, line and expression.
        """
        share = float(mask.mean())
        if not share:
            self.empty.append(where)
            return
        if share < TINY:
            self.tiny.append(f'{where} ({100 * share:.3f} % of the image)')
        self.positions[position_of(mask)] += 1


def inspect_folder(folder: Path, num_tokens: int = 17, num_samples: int = 24) -> Findings:
    """Look at all that :class:`~mmrefseg.datasets.JSONLinesDataset` would read of a folder.

    Args:
        folder: with ``annotations`` and ``images``.
        num_tokens: tokens that the text encoder reads, start and end included. Default 17.
        num_samples: samples to keep, of all splits and of images that lie evenly among their split's; photos that
            an EXIF orientation turns come first. Default 24.

    Raises:
        MissingInputError: there are no annotations.
    """
    files = sorted(folder.glob(f'{ANNOTATIONS}/*.jsonl'))
    if not files:
        raise MissingInputError(f'{folder} holds no {ANNOTATIONS}/*.jsonl. Make them with mmrefseg import.')
    findings, pictures = Findings(num_tokens, num_samples), {}
    for file in files:
        broken, by_image = validate(file)[1], _read(file, folder)
        findings.broken += broken
        shown = samples_of(list(by_image), -(-num_samples // len(files)))
        pictures[file.stem] = [picture for path, referents in track(by_image.items(), escape(file.stem))
                               if (picture := _look_at_image(path, referents, file, shown.count(path), findings))]
        referents = [referent for of_image in by_image.values() for referent in of_image.values()]
        if file.stem == 'train':
            findings.single += _asked_about_one(by_image)
        findings.splits[file.stem] = {
            'images': len(by_image), 'lines': len(referents),
            'expressions': sum(len(referent['sentences']) for referent in referents), 'broken': len(broken)}
    findings.samples = findings.samples[:num_samples]
    for first, second in combinations(pictures, 2):
        findings.duplicates += [
            f'{first}: {copy.first.name}, {second}: {copy.second.name} '
            f'({"the same file" if copy.is_exact else "nearly the same"})'
            for copy in find_copies(pictures[first], pictures[second])]
    return findings


def _read(file: Path, folder: Path) -> dict[str, dict[int, dict]]:
    """Path of an image → line → referent; lines that validation tells of are left out."""
    reader = OwnLines(file, str(folder / IMAGES), str(folder))
    by_image: dict[str, dict[int, dict]] = defaultdict(dict)
    for number, line in iterate_lines(file):
        try:
            referent = reader.parse(number, line)
        except UserError:
            continue
        by_image[referent['img_path']][number] = referent
    return by_image


def _asked_about_one(by_image: Mapping[str, Mapping[int, dict]]) -> list[str]:
    """The images with one referent, with its expression; none if enough others have several.

    Who sees one expression per image alone can learn to find the object without reading it.
    """
    single = {path: next(iter(referents.values())) for path, referents in by_image.items() if len(referents) == 1}
    if len(by_image) - len(single) >= FEW * len(by_image):
        return []
    return [f'{Path(path).name}: {referent["sentences"][0]["text"]}' for path, referent in single.items()]


def samples_of(paths: Sequence[str], number: int) -> list[str]:
    """Images that lie evenly among all; each as often as samples are shown of it.

    Args:
        paths: all images.
        number: of samples.
    """
    return [paths[index * len(paths) // number] for index in range(number)] if paths else []


def _look_at_image(path: str, referents: dict[int, dict], file: Path, shown: int,
                   findings: Findings) -> Fingerprint | None:
    """Note all about an image, and keep some samples of it."""
    try:
        content = read_regular(path, MAX_IMAGE_BYTES)
        image = decode_image(content, path)
        is_turned = read_image_header(BytesIO(content)).orientation != 1
    except UserError:
        return None  # told by the validation, too
    if is_turned:
        findings.turned.append(f'{file.stem}: {Path(path).name}')
        shown = max(shown, len(findings.turned) <= findings.num_samples)
    lines_of: dict[str, list[int]] = defaultdict(list)
    for number, referent in referents.items():
        texts, where = [sentence['text'] for sentence in referent['sentences']], f'{file.name}, line {number}'
        for text in texts:
            lines_of[' '.join(text.lower().split())].append(number)
            findings.add_expression(text, file.stem, where)
        try:
            mask = draw_mask(referent['segmentation'], referent['height'], referent['width'])
        except UserError:
            continue
        findings.add_mask(mask, f'{where}: {texts[0]}')
        if shown > 0:
            seen = decode_image(content, path, True) if referent['ignore_orientation'] else image
            if seen.shape[:2] == mask.shape:
                place = 0 if is_turned else len(findings.samples)
                findings.samples.insert(place, Shown(f'{file.stem}: {"; ".join(texts)}', *_small(seen, mask)))
                shown -= 1
    findings.repeated += [f'{file.name}, lines {", ".join(map(str, lines))}: {text}'
                          for text, lines in lines_of.items() if len(lines) > 1]
    findings.ambiguous += [f'{file.name}, line {line}: {text!r} may also mean line {other}, {longer!r}'
                           for text, line, longer, other in _ambiguous(lines_of)]
    return fingerprint_of(content, image, Path(path).name)


def _ambiguous(lines_of: Mapping[str, list[int]]) -> Iterator[tuple[str, int, str, int]]:
    """Expressions all of whose words are said of another object of the image, too: "the cup" and "the red cup"."""
    said = [(frozenset(text.split()) - _EMPTY_WORDS, text, lines[0]) for text, lines in lines_of.items()]
    with_word: dict[str, list[int]] = defaultdict(list)
    for index, (words, *_) in enumerate(said):
        for word in words:
            with_word[word].append(index)
    for words, text, line in said:
        candidates = min((with_word[word] for word in words), key=len, default=range(len(said)))
        for others, longer, other in (said[index] for index in candidates[:_MOST_COMPARED]):
            if words < others and line != other:
                yield text, line, longer, other
                break


def _small(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = min(1, _SIDE / max(mask.shape))
    size = [max(1, round(scale * side)) for side in mask.shape[::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
