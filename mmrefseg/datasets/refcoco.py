"""RefCOCO, RefCOCO+, RefCOCOg, and whatever is written in their format."""
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrefseg.registry import DATASETS

from .base_referring_dataset import BaseReferringDataset
from .fields import get_field
from .refer_pickle import OFFICIAL_SOURCE, load_refer_pickle


@DATASETS.register_module()
class RefCOCODataset(BaseReferringDataset):
    """A data set in the files of RefCOCO (https://arxiv.org/abs/1608.00272)::

        data_root/
        ├── images/             the images (COCO train2014), under the names that instances.json gives
        ├── instances.json      images and annotations in COCO's schema, polygons or RLE
        └── refs(<split_by>).p  refs with their sentences and splits

    The expression is the field ``sent`` of a sentence. A sentence may carry a ``kind`` (RefShapes' do). The pickle
    is read without allowing it to import anything.

    Args:
        data_root (str): Folder of the data set.
        split_by (str): Whose splits: ``'unc'``, ``'umd'`` or ``'google'``. Default: ``'unc'``.
        split (str): ``'train'``, ``'val'``, ``'testA'``, ``'testB'``, ``'test'``, as the pickle has it.
            Default: ``'train'``.
        **kwargs: ``unit``, ``data_prefix``, ``pipeline`` and more of :class:`BaseReferringDataset`.

    Raises:
        FileNotFoundError: If a folder or file is missing.
        ValueError: If the split is unknown, the files do not hold what they should, a ref's image or annotation is
            missing, an expression is empty, or the pickle tries to import anything.
    """

    def __init__(self, data_root: str, split_by: str = 'unc', split: str = 'train', **kwargs) -> None:
        self.split_by = split_by
        super().__init__(data_root, split, **kwargs)
        self._metainfo.update(split_by=split_by)

    def load_referents(self) -> list[dict]:
        """Read the refs of the split and look up their images and annotations."""
        refs_file, instances_file = self._files()
        refs = self._refs_of_split(refs_file)
        ann_ids = {ref['ann_id'] for ref in refs if isinstance(ref.get('ann_id'), int)}
        images, annotations = _read_instances(instances_file, ann_ids)
        return [self._referent(ref, images, annotations, refs_file) for ref in refs]

    def image_key(self, referent: Mapping) -> str:
        """The image's id in COCO."""
        return f'coco/{referent["image_id"]}'

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split in the refs file."""
        refs_file = self._files()[0]
        images = defaultdict(set)
        for place, ref in enumerate(_read_refs(refs_file)):
            image_id = get_field(ref, 'image_id', int, f'{refs_file}: element {place}')
            images[ref['split']].add(self.image_key({'image_id': image_id}))
        return dict(images)

    @property
    def title(self) -> str:
        """Folder and author of the splits."""
        return f'{self.data_root} ({self.split_by})'

    def _files(self) -> tuple[Path, Path]:
        """The refs file and instances.json, which are there."""
        root, images = Path(self.data_root), Path(self.data_prefix['img_path'])
        refs_file, instances_file = root / f'refs({self.split_by}).p', root / 'instances.json'
        for path, exists in ((root, root.is_dir()), (instances_file, instances_file.is_file()),
                             (refs_file, refs_file.is_file()), (images, images.is_dir())):
            if exists:
                continue
            message = (f'{path} is missing. Expected:\n'
                       f'{root}/\n'
                       f'├── instances.json\n'
                       f'└── {refs_file.name}\n'
                       f'and the images in {images}/\n')
            present = sorted(file.name for file in root.glob('refs(*).p'))
            if path == refs_file and present:
                message += f'The folder has {", ".join(present)}: set split_by to what stands between the brackets.'
            else:
                message += f'Set data_root or data_prefix, or get the files by way of {OFFICIAL_SOURCE}.'
            raise FileNotFoundError(message)
        return refs_file, instances_file

    def _refs_of_split(self, refs_file: Path) -> list[dict]:
        refs = _read_refs(refs_file)
        counts = Counter(ref['split'] for ref in refs)
        if self.split not in counts:
            present = ', '.join(f'{split!r} ({count} refs)' for split, count in sorted(counts.items()))
            raise ValueError(f'{refs_file} has no split {self.split!r}. It has: {present or "no ref at all"}.')
        return [ref for ref in refs if ref['split'] == self.split]

    def _referent(self, ref: dict, images: dict[int, dict], annotations: dict[int, dict], refs_file: Path) -> dict:
        ref_id = get_field(ref, 'ref_id', int, f'{refs_file}: a ref of split {self.split!r}')
        where = f'{refs_file}: ref_id {ref_id}'
        image = _look_up(images, get_field(ref, 'image_id', int, where), 'images', where)
        annotation = _look_up(annotations, get_field(ref, 'ann_id', int, where), 'annotations', where)
        of_image = f'instances.json: image {image["id"]}'
        of_annotation = f'instances.json: annotation {annotation["id"]}'
        return {
            'img_path': str(Path(self.data_prefix['img_path'], get_field(image, 'file_name', str, of_image))),
            'height': get_field(image, 'height', int, of_image),
            'width': get_field(image, 'width', int, of_image),
            'segmentation': get_field(annotation, 'segmentation', (list, dict), of_annotation),
            'image_id': image['id'],
            'ref_id': ref_id,
            'ann_id': annotation['id'],
            'category_id': get_field(ref, 'category_id', int, where),
            'sentences': [_sentence(sentence, where) for sentence in get_field(ref, 'sentences', list, where)],
        }


def _read_refs(path: Path) -> list[dict]:
    """All refs of the file, each of which is a dictionary with a split."""
    refs = load_refer_pickle(path)
    if not isinstance(refs, list):
        raise ValueError(f'{path} must hold a list of refs, but holds an object of type {type(refs).__name__}: it is '
                         'not a refs file.')
    for place, ref in enumerate(refs):
        get_field(ref, 'split', str, f'{path}: element {place}')
    return refs


def _read_instances(path: Path, ann_ids: set[int]) -> tuple[dict[int, dict], dict[int, dict]]:
    """Images and those annotations of a COCO file that are asked for, each by its id."""

    def forget_others(element: dict) -> dict | None:
        # While the file is parsed, so that the outlines of a hundred thousand other objects never pile up.
        ann_id = element.get('id')
        other = 'segmentation' in element and isinstance(ann_id, int) and ann_id not in ann_ids
        return None if other else element

    try:
        content = json.loads(path.read_text('utf-8'), object_hook=forget_others)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not a whole JSON file ({error}). Get it again.') from error
    tables = []
    for name in ('images', 'annotations'):
        elements = get_field(content, name, list, str(path))
        tables.append({get_field(element, 'id', int, f'{path}: {name}[{place}]'): element
                       for place, element in enumerate(elements) if element is not None})
    return tables[0], tables[1]


def _sentence(sentence: Any, where: str) -> dict:
    sent_id = get_field(sentence, 'sent_id', int, f'{where}: a sentence')
    text = get_field(sentence, 'sent', str, f'{where}, sent_id {sent_id}')
    return {'text': text, 'sent_id': sent_id, 'kind': sentence.get('kind', '')}


def _look_up(table: dict[int, dict], key: int, name: str, where: str) -> dict:
    if key not in table:
        raise ValueError(f'{where} refers to id {key}, which is not among the {name} of instances.json. '
                         'The two files do not belong together, or one is incomplete: get both from one place.')
    return table[key]
