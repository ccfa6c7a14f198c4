"""Files in RefCOCO's format: refs in a pickle or JSON, beside an ``instances.json``."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.structures.mask_formats import Segmentation
from mmrefseg.utils.field_checks import get_field
from mmrefseg.utils.files import read_json

from ..refer_pickle import load_refer_pickle
from .annotation import Annotation, Notes, Options, split_in, words_of
from .coco import images_of, outline_of
from .format_recognition import files_of


def read_refcoco(source: Path, options: Options, notes: Notes) -> Iterator[Annotation]:
    """The refs of a folder, those of gRefCOCO's kind (several objects, or none) included.

    Args:
        source: the file of refs, ``.p`` or ``.json``, with ``instances.json`` beside it; or their folder.
        options: how they are read.
        notes: gets what is broken or skipped.

    Raises:
        MissingInputError: ``instances.json`` is missing.
        InputError: there are several files of refs, or the file is damaged.
    """
    files = files_of(source, 'refcoco', '.p', '.pkl', '.json')
    if len(files) > 1:
        raise InputError(f'{source} holds several files of refs: {", ".join(file.name for file in files)}. Name one.')
    file = files[0]
    instances = file.with_name('instances.json')
    if not instances.is_file():
        raise MissingInputError(f'{instances} is missing, which holds the outlines. Put it beside {file.name}.')
    refs = read_json(file, mend='Get it again.') if file.suffix == '.json' else load_refer_pickle(file)
    content = read_json(instances)
    images = images_of(content, instances)
    outlines = {str(element.get('id')): element for element in get_field(content, 'annotations', list, str(instances))
                if isinstance(element, dict)}
    if not isinstance(refs, list):
        raise InputError(f'{file} must hold a list of refs, got an object of type {type(refs).__name__}')
    for index, ref in enumerate(refs):
        where = f'{file}, refs[{index}]'
        with notes.element():
            image = images.get(str(get_field(ref, 'image_id', (int, str), where)))
            if image is None:
                raise InputError(f'{where}: its image_id is none of the images in instances.json')
            segmentation = _segmentation(ref, outlines, options, notes, where)
            if segmentation == []:
                continue
            words = words_of(ref.get('sentences'), f'{where}: sentences')
            split = ref.get('split') if isinstance(ref.get('split'), str) else ''
            yield Annotation(*image, words, segmentation, where, split_in(split) or split, options.in_shares)


def _segmentation(ref: dict, outlines: dict, options: Options, notes: Notes, where: str) -> Segmentation:
    """None if it refers to nothing; an empty list if the outline is missing, which is noted."""
    ids = get_field(ref, 'ann_id', (int, str, list), where)
    parts = []
    for key in ids if isinstance(ids, list) else [ids]:
        if str(key) == '-1':
            continue
        if str(key) not in outlines:
            raise InputError(f'{where}: ann_id {str(key)[:40]} is none of the annotations in instances.json')
        parts.append(outline_of(outlines[str(key)], options, notes, where))
    if None in parts:
        return []
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {'union': parts}
