"""RefShapes in PhraseCut's files."""
import json
from pathlib import Path

import numpy as np
import pytest

from mmrefseg.datasets import PhraseCutDataset
from mmrefseg.datasets.refshapes import make_refshapes, writer
from mmrefseg.datasets.refshapes.file_layouts import PhraseCutLayout
from mmrefseg.datasets.refshapes.picture import PictureTask, draw_picture
from mmrefseg.errors import FileError
from mmrefseg.structures.mask_formats import draw_mask

NUM_IMAGES = {'train': 6, 'val': 2, 'test': 3, 'miniv': 1}
SIZE = (128, 96)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    out_dir = tmp_path_factory.mktemp('data') / 'refshapes-phrasecut'
    assert make_refshapes(out_dir, NUM_IMAGES, SIZE, layout='phrasecut')
    return out_dir


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_same_bytes_with_any_number_of_workers(folder, tmp_path):
    make_refshapes(tmp_path / 'two', NUM_IMAGES, SIZE, workers=2, layout='phrasecut')
    assert contents(tmp_path / 'two') == contents(folder)
    assert not make_refshapes(folder, NUM_IMAGES, SIZE, layout='phrasecut')


def test_masks_are_what_is_seen(folder):
    """Pixel for pixel, as the data set draws them."""
    first = 0
    for split, number in NUM_IMAGES.items():
        tasks = json.loads((folder / f'refer_{split}.json').read_text())
        phrases = PhraseCutDataset(folder, split).referents()
        assert len(phrases) == len(tasks) >= 2 * number
        for task, phrase in zip(tasks, phrases, strict=True):
            index = phrase['image_id'] - 1 - first
            labels = draw_picture(PictureTask(0, split, index, SIZE)).scene.labels
            mask = draw_mask(phrase['segmentation'], *SIZE[::-1])
            assert (mask == np.isin(labels, task['ann_ids'])).all()
            assert len(phrase['instance_boxes']) == len(task['ann_ids'])
        first += number


def test_images(folder, tmp_path):
    images = json.loads((folder / 'image_data_split.json').read_text())
    assert [image['split'] for image in images] == [split for split, number in NUM_IMAGES.items()
                                                    for _ in range(number)]
    assert {(image['width'], image['height']) for image in images} == {SIZE}
    assert {path.name for path in (folder / 'images').iterdir()} == {f'{image["image_id"]}.jpg' for image in images}
    make_refshapes(tmp_path, {'val': 2}, SIZE)
    assert (tmp_path / 'images/COCO_train2014_000000000002.jpg').read_bytes() == (folder / 'images/8.jpg').read_bytes()
    assert len({path.read_bytes() for path in (folder / 'images').iterdir()}) == len(images)


def test_counts(folder):
    structures = [task['phrase_structure'] for split in NUM_IMAGES
                  for task in json.loads((folder / f'refer_{split}.json').read_text())]
    counts = json.loads((folder / 'name_att_rel_count.json').read_text())
    for key, words in (('cat', [structure['name'] for structure in structures]),
                       ('att', [word for structure in structures for word in structure['attributes']]),
                       ('rel', [word for structure in structures for word, _ in structure['relation_descriptions']])):
        assert dict(counts[key]) == {word: words.count(word) for word in words}
        assert [number for _, number in counts[key]] == sorted((number for _, number in counts[key]), reverse=True)


def test_nothing_of_another_format_stays(tmp_path):
    make_refshapes(tmp_path / 'a', {'val': 1})
    with pytest.raises(FileError, match='other settings'):
        make_refshapes(tmp_path / 'a', {'val': 1}, layout='phrasecut')
    make_refshapes(tmp_path / 'a', {'val': 1}, layout='phrasecut', overwrite=True)
    assert {path.name for path in (tmp_path / 'a').iterdir()} == {*PhraseCutLayout.CONTENTS, writer.SETTINGS_FILE}
