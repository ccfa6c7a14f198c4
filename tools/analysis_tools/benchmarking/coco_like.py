"""A made-up data set of the sizes of RefCOCO and COCO, for measuring speed and memory."""
from __future__ import annotations

import json
import pickle
from collections import defaultdict
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

HEIGHT, WIDTH = 480, 640
OBJECTS = 10
"""Objects on an image: RefCOCO's ``instances.json`` has 196,771 on 19,994."""

_WORDS = ('man', 'woman', 'left', 'right', 'red', 'blue', 'shirt', 'the', 'in', 'front', 'giraffe', 'zebra', 'chair',
          'behind', 'second', 'from', 'with', 'white', 'hat', 'middle', 'biggest', 'pizza', 'bus', 'on', 'closest')
_SPLIT_ENDS = (('train', 0.85), ('val', 0.925), ('testA', 0.9625), ('testB', 1))
_JPEG_QUALITIES = (90, 98)  # from, to below: COCO's files come from many hands
_LEAVES = 400
_TEXTURE = 1024


def coco_like_content(num_images: int, seed: int = 0) -> dict:
    """What the files of a data set like RefCOCO hold.

    Every image is 640×480 and has ten outlined objects, of which two or three in turn are referred to, as 2.5 are in
    RefCOCO, with 2.85 expressions each on average. An object is outlined by 40 points, and every fourth by a second
    polygon of 12. The first 85 % of the images are of the split ``train``, the others of ``val``, ``testA``, ``testB``.

    Args:
        num_images: number of images, at least 1.
        seed: seed of all randomness. Default 0.

    Returns:
        ``images`` and ``annotations`` of ``instances.json``, and ``refs``.
    """
    random = np.random.default_rng(seed)
    content, num_sentences = {'images': [], 'annotations': [], 'refs': []}, 0
    for index in range(num_images):
        image_id = index + 1
        name = f'COCO_train2014_{image_id:012d}'
        split = next(split for split, end in _SPLIT_ENDS if index < end * num_images)
        content['images'].append({'id': image_id, 'file_name': f'{name}.jpg', 'height': HEIGHT, 'width': WIDTH})
        for number, outline in enumerate(random_outlines(random)):
            ann_id = len(content['annotations']) + 1
            same = {'image_id': image_id, 'category_id': number + 1}
            content['annotations'].append({'id': ann_id, **same, 'segmentation': outline})
            if number < 2 + index % 2:
                sentences = _sentences(random, num_sentences)
                num_sentences += len(sentences)
                content['refs'].append({
                    'ref_id': len(content['refs']), 'ann_id': ann_id, **same, 'file_name': f'{name}_{ann_id}.jpg',
                    'split': split, 'sent_ids': [sentence['sent_id'] for sentence in sentences],
                    'sentences': sentences})
    return content


def write_coco_like(root: str | Path, num_images: int, seed: int = 0, pictures: bool = True) -> Path:
    """Write :func:`coco_like_content` in RefCOCO's files, with pictures that weigh as much as COCO's.

    A picture is noise-free: overlapping blots of all sizes with soft textures, the outlined objects on top, as a JPEG
    of 160 KB on average: COCO's 82,783 training images of 2014 have 13 GB.

    Args:
        root: the folder, made if need be.
        num_images: number of images, at least 1.
        seed: seed of all randomness. Default 0.
        pictures: whether to draw the pictures, too. Default True.

    Returns:
        The folder.
    """
    root = Path(root)
    (root / 'images').mkdir(parents=True, exist_ok=True)
    content = coco_like_content(num_images, seed)
    outlines = defaultdict(list)
    for annotation in content['annotations']:
        outlines[annotation['image_id']] += annotation['segmentation']
    for image in track(content['images'], 'Pictures') if pictures else ():
        random = np.random.default_rng((seed, image['id']))
        (root / 'images' / image['file_name']).write_bytes(_jpeg(random, outlines[image['id']]))
    (root / 'instances.json').write_text(json.dumps({key: content[key] for key in ('images', 'annotations')}))
    (root / 'refs(unc).p').write_bytes(pickle.dumps(content['refs'], protocol=2))
    return root


def random_outlines(random: np.random.Generator) -> list[list[list[float]]]:
    """COCO polygons of an image's ten objects."""
    size = np.array([WIDTH, HEIGHT])
    centres = random.uniform(0.15 * size, 0.85 * size, (OBJECTS, 2))
    radii = random.uniform(50, 130, OBJECTS)
    bodies = _blots(random, centres, radii, 40)
    parts = _blots(random, centres + 1.2 * radii[:, None] * (0, 1), 0.4 * radii, 12)
    return [[_flat(body), _flat(part)] if number % 4 == 0 else [_flat(body)]
            for number, (body, part) in enumerate(zip(bodies, parts, strict=True))]


def _flat(outline: np.ndarray) -> list[float]:
    return outline.clip(0, (WIDTH - 1, HEIGHT - 1)).round(2).ravel().tolist()


def _blots(random: np.random.Generator, centres: np.ndarray, radii: np.ndarray, points: int) -> np.ndarray:
    """(N, points, 2) outlines (x, y) around N centres (N, 2)."""
    waves = np.arange(1, 7)
    phases = random.uniform(0, 2 * np.pi, (len(radii), 1, len(waves)))
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    wobble = (np.cos(waves * angles[:, None] + phases) * 0.25 / waves).sum(axis=2)
    distances = radii[:, None] * np.exp(wobble)
    return centres[:, None] + distances[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _sentences(random: np.random.Generator, first: int) -> list[dict]:
    sentences = []
    for sent_id in range(first, first + 2 + (random.random() < 0.85)):
        tokens = random_words(random)
        text = ' '.join(tokens)
        sentences.append({'sent_id': sent_id, 'sent': text, 'raw': text, 'tokens': tokens})
    return sentences


def random_words(random: np.random.Generator) -> list[str]:
    """An expression of one to six random words."""
    return [_WORDS[word] for word in random.integers(len(_WORDS), size=random.integers(1, 7))]


def _jpeg(random: np.random.Generator, outlines: list[list[float]]) -> bytes:
    radii = np.minimum(8 / np.sqrt(random.random(_LEAVES)), 200)
    leaves = _blots(random, random.uniform((0, 0), (WIDTH, HEIGHT), (_LEAVES, 2)), radii, 24)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    objects = [np.reshape(outline, (-1, 2)) for outline in outlines]
    for outline in (*leaves[np.argsort(-radii)], *objects):
        colour = random.integers(30, 226, 3).tolist()
        cv2.fillPoly(picture, [np.rint(outline).astype(np.int32)], colour, cv2.LINE_AA)
    y, x = random.integers(0, (_TEXTURE - HEIGHT, _TEXTURE - WIDTH))
    picture = picture + _textures()[y:y + HEIGHT, x:x + WIDTH]
    picture = cv2.GaussianBlur(picture.clip(0, 255).astype(np.uint8), (0, 0), 0.6)
    quality = int(random.integers(*_JPEG_QUALITIES))
    return cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@cache
def _textures() -> np.ndarray:
    """(1024, 1024, 3) of natural images' spectrum, in which a frequency's amplitude is its inverse; mostly grey."""
    random = np.random.default_rng(0)
    frequencies = np.hypot(np.fft.fftfreq(_TEXTURE)[:, None], np.fft.rfftfreq(_TEXTURE))
    amplitudes = 1 / np.maximum(frequencies, 4 / _TEXTURE)
    phases = random.uniform(0, 2 * np.pi, (4, *amplitudes.shape))
    fields = np.fft.irfft2(amplitudes * np.exp(1j * phases), (_TEXTURE, _TEXTURE))
    grey, *colours = fields / fields.std(axis=(1, 2), keepdims=True)
    return np.stack([25 * grey + 8 * colour for colour in colours], axis=2).astype(np.float32)
