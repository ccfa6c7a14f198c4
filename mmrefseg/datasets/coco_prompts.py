"""COCO's instances, asked for by made-up prompts."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.registry import DATASETS
from mmrefseg.utils.field_checks import key_of

from .coordinate_units import check_box
from .instance_prompts import Instance, InstancePromptDataset
from .instances_file import InstancesFile

_SPLITS = ('train', 'val')
_FAR = 1e9


@DATASETS.register_module()
class CocoPromptDataset(InstancePromptDataset):
    """COCO's instances (https://arxiv.org/abs/1405.0312) with prompts from category, size and place::

        data_root/
        ├── annotations/instances_<split><year>.json
        └── <split><year>/     the images

    The prompts are those of :func:`~mmrefseg.datasets.instance_prompts.make_prompt`.

    Args:
        data_root: folder of the data set.
        split: ``'train'`` or ``'val'``. Default ``'val'``.
        year: 2014 or 2017. Default 2017.
        data_prefix: as in :class:`BaseReferringDataset`. Default None, ``<split><year>``.
        **kwargs: ``unit``, ``pipeline`` and more of :class:`BaseReferringDataset`.

    Raises:
        MissingInputError: the folder or file is missing.
        InputError: the file doesn't hold what it should.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'val',
                 year: int = 2017,
                 data_prefix: dict[str, str] | None = None,
                 **kwargs) -> None:
        self.year = year
        super().__init__(data_root, split, data_prefix=data_prefix or {'img_path': f'{split}{year}'}, **kwargs)

    def load_instances(self) -> list[Instance]:
        """Read the annotations of the split."""
        path, folder = self._file(self.split), Path(self.data_prefix['img_path'])
        for needed in (path, folder):
            if not needed.exists():
                raise MissingInputError(
                    f'{needed} is missing. Expected were {path} and the images in {folder}/. Set data_root, year or '
                    'data_prefix, or get both from https://cocodataset.org/#download.')
        file = InstancesFile(path)
        categories = file.categories
        return self.parse_each(file.annotations.values(),
                               lambda annotation: self._instance(annotation, file, categories))

    def image_key(self, referent: Mapping) -> str:
        """The image's name across data sets: its id in COCO."""
        return f'coco/{referent["image_id"]}'

    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of those splits whose files are there."""
        files = {split: self._file(split) for split in _SPLITS}
        return {split: {f'coco/{image_id}' for image_id in InstancesFile(path, ann_ids=()).images}
                for split, path in files.items() if path.is_file()}

    def _file(self, split: str) -> Path:
        return Path(self.data_root, 'annotations', f'instances_{split}{self.year}.json')

    def _instance(self, annotation: dict, file: InstancesFile, categories: dict[str, str]) -> Instance:
        where = f'{file.path}: annotation {annotation["id"]}'
        image = file.describe_image(file.image(file.field(annotation, 'image_id', int), where),
                                    self.data_prefix['img_path'])
        category_id = file.field(annotation, 'category_id', int)
        if key_of(category_id) not in categories:
            raise InputError(f'{where}: category_id {category_id} is not among the categories of the file. Get it '
                             'again.')
        box, area = file.field(annotation, 'bbox', list), file.field(annotation, 'area', (int, float))
        if len(box) != 4 or not all(isinstance(number, int | float) and abs(number) < _FAR for number in (*box, area)):
            raise InputError(f"{where}: 'bbox' must hold four numbers [x, y, width, height] and 'area' be one, all "
                             f'below {_FAR:.0e}.')
        check_box(box, f"{where}: 'bbox'")
        return Instance(
            category=categories[key_of(category_id)],
            x=(box[0] + box[2] / 2) / image['width'],
            y=(box[1] + box[3] / 2) / image['height'],
            size=area / (image['width'] * image['height']),
            crowd=bool(annotation.get('iscrowd')),
            referent={
                **image,
                'segmentation': file.outline(annotation),
                'ref_id': annotation['id'],
                'ann_id': annotation['id'],
                'category_id': category_id,
            })
