"""What every data set of referring expressions has in common."""
import os
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from mmengine.dataset import BaseDataset

from mmrefseg.registry import TRANSFORMS


class _SerializedList:
    """A read-only list kept in one array of bytes, so that forked workers share its memory.

    Args:
        items (Iterable): The elements; each is pickled on its own.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        chunks = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
        self._bounds = np.cumsum([0, *map(len, chunks)])
        self._bytes = np.frombuffer(b''.join(chunks), dtype=np.uint8)

    def __getitem__(self, index: int) -> Any:
        start, end = self._bounds[index], self._bounds[index + 1]
        return pickle.loads(memoryview(self._bytes[start:end]))  # noqa: S301 - pickled by this very object


class BaseReferringDataset(BaseDataset, ABC):
    """Images with referring expressions and the outlines of what they refer to.

    A sub-class parses its files in :meth:`load_referents` and :meth:`images_by_split`, and says in :meth:`image_key`
    what makes two images one; samples, checks and memory are taken care of here. A sample is small and is serialised
    by MMEngine; the outlines, by far the largest part, are kept once a referent.

    :meth:`get_data_info` returns ``img_path`` (str), ``height`` and ``width`` (int, pixels), ``segmentation`` (COCO
    polygons or RLE), ``image_id``, ``ref_id``, ``ann_id`` and ``category_id`` (int), ``sample_idx``, and

    - with ``unit='sentence'``: ``text`` (str), ``sent_id`` (int) and ``kind`` (str, ``''`` where unknown);
    - with ``unit='ref'``: ``sentences``, a list of dictionaries with these three keys.

    Args:
        data_root (str): Folder of the data set.
        split (str): Part of the data set. Default: ``'train'``.
        unit (str): What one sample is: ``'sentence'`` (one expression; testing must use this) or ``'ref'`` (one
            referent with all its expressions, of which ``SampleSentence`` draws one). Default: ``'sentence'``.
        data_prefix (dict | None): ``img_path`` is the folder of the images, absolute or inside ``data_root``.
            Default: None, which means ``dict(img_path='images')``.
        pipeline (Sequence[dict | Callable]): Transforms. Default: none.
        **kwargs: ``indices``, ``serialize_data``, ``test_mode``, ``lazy_init``, ``metainfo``, ``filter_cfg`` and
            ``max_refetch`` of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: If ``unit`` is neither of the two, or an expression is empty.
    """

    METAINFO: dict = {'classes': ('background', 'referent'), 'palette': [[0, 0, 0], [220, 20, 60]]}

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 unit: Literal['sentence', 'ref'] = 'sentence',
                 data_prefix: dict | None = None,
                 pipeline: Sequence[dict | Callable] = (),
                 **kwargs) -> None:
        if unit not in ('sentence', 'ref'):
            raise ValueError(f"unit must be 'sentence' or 'ref', got {unit!r}")
        self.split = split
        self.unit = unit
        super().__init__(
            data_root=os.fspath(data_root),
            data_prefix=data_prefix or {'img_path': 'images'},
            # Built from our node, so that our transforms are found where no default scope is set, too.
            pipeline=[TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in pipeline],
            **kwargs)
        self._metainfo.update(dataset_type=type(self).__name__, split=split)

    @abstractmethod
    def load_referents(self) -> list[dict]:
        """Parse the files of the data set.

        Returns:
            list[dict]: One for each ref of the split: ``img_path``, ``height``, ``width``, ``segmentation``,
            ``image_id``, ``ref_id``, ``ann_id``, ``category_id`` and ``sentences``, a list of dictionaries with
            ``text``, ``sent_id`` and ``kind``.
        """

    @abstractmethod
    def image_key(self, referent: Mapping) -> str:
        """A name of the referent's image that no other image has, and that is the same in every data set."""

    @abstractmethod
    def images_by_split(self) -> dict[str, set[str]]:
        """Keys of the images of every split that the files know, by the split's name; ``train`` is for training."""

    @property
    def title(self) -> str:
        """What messages call the data set, whatever the split."""
        return self.data_root

    def referents(self) -> list[dict]:
        """The referents of :meth:`load_referents`, checked."""
        referents = self.load_referents()
        for referent in referents:
            _check_expressions(referent, self.data_root)
        return referents

    def load_data_list(self) -> list[dict]:
        """Turn the referents into samples, whose ``outline`` is a place in the list of segmentations."""
        referents = self.referents()
        self._segmentations = _SerializedList(referent.pop('segmentation') for referent in referents)
        return list(self._samples(referents))

    def get_data_info(self, idx: int) -> dict:
        """Everything that is known of one sample, as the pipeline receives it."""
        info = super().get_data_info(idx)
        info['segmentation'] = self._segmentations[info.pop('outline')]
        return info

    def _samples(self, referents: list[dict]) -> Iterator[dict]:
        for outline, referent in enumerate(referents):
            if self.unit == 'ref':
                yield dict(referent, outline=outline)
            else:
                sentences = referent.pop('sentences')
                yield from (dict(referent, outline=outline, **sentence) for sentence in sentences)


def _check_expressions(referent: dict, data_root: str) -> None:
    where = f'{data_root}: ref_id {referent["ref_id"]}'
    if not referent['sentences']:
        raise ValueError(f'{where} has no expression. Remove the ref or write one.')
    for sentence in referent['sentences']:
        if not sentence['text'].strip():
            raise ValueError(f'{where}, sent_id {sentence["sent_id"]}: the expression is empty. It must hold at least '
                             'one character that is not blank: remove the sentence or mend it.')
