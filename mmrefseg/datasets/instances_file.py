"""Reading of COCO's ``instances.json``, and of whatever is written in its schema."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from pathlib import Path
from typing import Any

from mmrefseg.errors import InputError
from mmrefseg.utils.field_checks import check_outline, get_field, is_int64, key_of
from mmrefseg.utils.files import read_json
from mmrefseg.utils.safe_names import relative_name

Id = int | str


class InstancesFile:
    """Images, annotations and categories of a file in COCO's schema.

    Args:
        path: the file.
        ann_ids: keys of the ids of the annotations to keep; all others are dropped while the file is parsed, so that
            the outlines of a hundred thousand other objects never pile up. Default None, all.
        ann_id_type: what ids of annotations are. Default ``int``.
        image_ids: keys of the ids of the images whose annotations to keep, too. Default None, all.

    Attributes:
        path: the file.
        images: images by the key of their id.
        annotations: annotations by the key of theirs; see :func:`~mmrefseg.utils.field_checks.key_of`.

    Raises:
        InputError: the file is no JSON, the tables or ids are missing or of another type, or an id occurs twice with
            different content.
    """

    def __init__(self,
                 path: Path,
                 ann_ids: Container[str] | None = None,
                 ann_id_type: type | tuple[type, ...] = int,
                 image_ids: Container[str] | None = None) -> None:
        def drop_others(element: dict) -> dict | None:
            other = 'segmentation' in element and any(
                isinstance(value := element.get(key), int | str) and kept is not None and key_of(value) not in kept
                for key, kept in (('id', ann_ids), ('image_id', image_ids)))
            return None if other else element

        self.path = path
        self._content = read_json(path, None if ann_ids is None and image_ids is None else drop_others)
        self.images = self._table('images', int)
        self.annotations = self._table('annotations', ann_id_type)

    @property
    def categories(self) -> dict[str, str]:
        """Names of the categories by the key of their id."""
        return {key: get_field(category, 'name', str, f'{self.path}: category {key}')
                for key, category in self._table('categories', int).items()}

    def image(self, image_id: int, where: str) -> dict:
        """Look up an image by its id.

        Args:
            image_id: its id.
            where: what refers to it, for errors.

        Raises:
            InputError: there is none.
        """
        return self._look_up(self.images, image_id, 'images', where)

    def annotation(self, ann_id: Id, image_id: int, where: str) -> dict:
        """Look up an annotation by its id; it must belong to the image.

        Args:
            ann_id: its id.
            image_id: id of the image that it must be of.
            where: what refers to it, for errors.

        Raises:
            InputError: there is none, or it is of another image.
        """
        annotation = self._look_up(self.annotations, ann_id, 'annotations', where)
        other = self.field(annotation, 'image_id', int)
        if other != image_id:
            raise InputError(f'{where} is on image {image_id}, but its annotation {ann_id!r} in {self.path.name} on '
                             f'image {other}. The two files do not belong together: get both from one place.')
        return annotation

    def describe_image(self, image: dict, folder: str) -> dict:
        """``img_path`` (in ``folder``), ``height``, ``width`` and ``image_id`` of one of the images.

        Args:
            image: one of :attr:`images`.
            folder: what stands before the image's name in ``img_path``.
        """
        where = f'{self.path}: image {image["id"]}'
        name, height, width = (get_field(image, key, kind, where)
                               for key, kind in (('file_name', str), ('height', int), ('width', int)))
        if min(height, width) < 1:
            raise InputError(f"{where}: 'height' and 'width' must be positive, got {height} and {width}.")
        name = relative_name(name, f"{where}: 'file_name'")
        return {'img_path': str(Path(folder, name)), 'height': height, 'width': width, 'image_id': image['id']}

    def field(self, annotation: dict, key: str, kind: type | tuple[type, ...]) -> Any:
        """A field of one of the annotations, checked.

        Args:
            annotation: one of :attr:`annotations`.
            key: name of the field.
            kind: what the value must be; see :func:`~mmrefseg.utils.field_checks.get_field`.
        """
        return get_field(annotation, key, kind, f'{self.path}: annotation {annotation["id"]}')

    def outline(self, annotation: dict) -> list | dict:
        """The ``segmentation`` of one of the annotations, checked.

        Args:
            annotation: one of :attr:`annotations`.
        """
        outline = self.field(annotation, 'segmentation', (list, dict))
        check_outline(outline, f'{self.path}: annotation {annotation["id"]}: segmentation')
        return outline

    def _table(self, name: str, id_type: type | tuple[type, ...]) -> dict[str, dict]:
        elements = get_field(self._content, name, list, str(self.path))
        table: dict[str, dict] = {}
        for index, element in enumerate(elements):
            if element is None:  # dropped
                continue
            key = key_of(get_field(element, 'id', id_type, f'{self.path}: {name}[{index}]'))
            if table.setdefault(key, element) is not element and table[key] != element:
                raise InputError(f'{self.path}: two different {name} have the id {key}; nobody can tell which one is '
                                 'meant. Get the file again, or give each an id of its own.')
        return table

    def _look_up(self, table: dict[str, dict], key: Id, name: str, where: str) -> dict:
        if key_of(key) not in table:
            raise InputError(f'{where} refers to id {key}, which is not among the {name} of {self.path.name}. '
                             'The two files do not belong together, or one is incomplete: get both from one place.')
        return table[key_of(key)]


def object_categories(path: Path) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Names of the categories by the key of their id, and these keys of all annotations by the key of the image's id.

    Args:
        path: a file in COCO's schema. Annotations without such ids are passed over; without a table of categories, both
            are empty.

    Raises:
        InputError: the file is no JSON, a category has no id or name, or an id has two names.
    """
    on_image: dict[str, set[str]] = defaultdict(set)

    def note_category(element: dict) -> dict | None:
        if 'segmentation' not in element:
            return element
        image_id, category_id = element.get('image_id'), element.get('category_id')
        if is_int64(image_id) and is_int64(category_id):
            on_image[key_of(image_id)].add(key_of(category_id))
        return None  # the outlines of all objects would take gigabytes

    content = read_json(path, note_category)
    if not isinstance(content, dict) or 'categories' not in content:
        return {}, {}
    categories = get_field(content, 'categories', list, str(path))
    names: dict[str, str] = {}
    for index, category in enumerate(categories):
        where = f'{path}: categories[{index}]'
        key, name = key_of(get_field(category, 'id', int, where)), get_field(category, 'name', str, where)
        if names.setdefault(key, name) != name:
            raise InputError(f'{where}: id {category["id"]} is {names[key]!r} and {name!r}, but an id must mean one '
                             'category. Get the file again, or repair it.')
    return names, dict(on_image)
