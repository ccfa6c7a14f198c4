"""RefShapes as RefCOCO's files."""
import json
from pathlib import Path
from types import MappingProxyType

from . import python2_pickle
from .picture import Picture, PictureTask, make_picture
from .silhouettes import SHAPES


def _image_name(image_id: int) -> str:
    return f'COCO_train2014_{image_id:012d}'


class RefCOCOLayout:
    """The contents of both annotation files, grown image by image; numbers every entry.

    Args:
        version: version of the data, for ``instances.json``.
    """

    NUM_IMAGES = MappingProxyType({'train': 5000, 'val': 150, 'testA': 150, 'testB': 150})
    CONTENTS = ('images', 'instances.json', 'refs(unc).p')
    make_picture = staticmethod(make_picture)

    def __init__(self, version: int) -> None:
        self.version = version
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.refs: list[dict] = []
        self.num_sentences = 0

    def add(self, picture: Picture, task: PictureTask) -> str:
        """Add an image and all about it.

        Args:
            picture: the image, its objects and expressions.
            task: which image it is.

        Returns:
            The file name that the image must get.
        """
        image_id = len(self.images) + 1
        file_name = f'{_image_name(image_id)}.jpg'
        width, height = task.image_size
        self.images.append({'id': image_id, 'file_name': file_name, 'width': width, 'height': height})
        for entry in picture.objects:
            annotation = {
                'id': len(self.annotations) + 1,
                'image_id': image_id,
                'category_id': SHAPES.index(entry.shape) + 1,
                **entry.annotation,
            }
            self.annotations.append(annotation)
            if entry.sentences:
                self._add_ref(annotation, task.split, entry.sentences)
        return file_name

    def _add_ref(self, annotation: dict, split: str, sentences: list) -> None:
        first = self.num_sentences
        self.num_sentences += len(sentences)
        self.refs.append({
            'ref_id': len(self.refs),
            'ann_id': annotation['id'],
            'category_id': annotation['category_id'],
            'image_id': annotation['image_id'],
            'file_name': f'{_image_name(annotation["image_id"])}_{annotation["id"]}.jpg',
            'split': split,
            'sent_ids': list(range(first, self.num_sentences)),
            'sentences': [{'sent_id': first + offset, 'tokens': sentence.sent.split(), **sentence._asdict()}
                          for offset, sentence in enumerate(sentences)],
        })

    def write(self, folder: Path) -> None:
        """Write ``instances.json`` and the refs.

        Args:
            folder: where to.
        """
        instances = {
            'info': {'description': 'RefShapes: made-up scenes with referring expressions', 'version': self.version},
            'licenses': [],
            'images': self.images,
            'annotations': self.annotations,
            'categories': [{'id': number, 'name': shape, 'supercategory': 'shape'}
                           for number, shape in enumerate(SHAPES, 1)],
        }
        (folder / 'instances.json').write_text(json.dumps(instances, separators=(',', ':')))
        (folder / 'refs(unc).p').write_bytes(python2_pickle.dumps(self.refs))
