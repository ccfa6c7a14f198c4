"""From collated samples to the tensors that the model's forward takes."""
from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Annotated

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.structures import RefSegDataSample
from mmrefseg.utils.type_hints import Finite, Range

_Positive = Annotated[float, Range(1e-6)]


@MODELS.register_module()
class ReferringDataPreProcessor(ImgDataPreprocessor):
    """Stacks and normalises images as mmengine's ``ImgDataPreprocessor`` does, and tokenises the expressions.

    The segmentor hands over its text encoder's ``tokenize`` as :attr:`tokenize`; who uses it alone sets that.

    Args:
        mean: mean of each RGB channel, 0 to 255; None, together with ``std``, leaves the values as they are. Default
            CLIP's.
        std: standard deviation of each RGB channel, above 0. Default CLIP's.
        share_in_training: whether samples of a training batch that have the same image share it; backbones with batch
            statistics then count it once. Default False: each keeps its own.
        kwargs: the rest goes to ``ImgDataPreprocessor``.

    Raises:
        InputError: only one of ``mean`` and ``std`` is None.
    """

    def __init__(self,
                 mean: tuple[Finite, Finite, Finite] | None = (122.7709383, 116.7460125, 104.09373615),
                 std: tuple[_Positive, _Positive, _Positive] | None = (68.5005327, 66.6321579, 70.32316304),
                 share_in_training: bool = False,
                 **kwargs) -> None:
        if (mean is None) != (std is None):
            raise InputError(f'mean is {mean} and std is {std}; both must be None or neither')
        super().__init__(mean=mean, std=std, **kwargs)
        self.share_in_training = share_in_training
        self.tokenize: Callable[[list[str]], tuple[Tensor, Tensor]] | None = None

    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn a batch of samples into what the model's ``forward`` takes.

        Samples whose metainfo names the same ``shared_image`` have one image between them, which is prepared once.
        In training each keeps its own, but with ``share_in_training``, where equal images of one file are one.

        Args:
            data: ``inputs``, a list of uint8 RGB (3, H, W), and ``data_samples``, a list of RefSegDataSample.
            training: whether the batch is to train on. Default False.

        Returns:
            ``inputs`` float32 (I, 3, H, W), ``token_ids`` and ``token_mask`` (B, L), and ``data_samples``; where I is
            not B, also ``image_index``, int64 (B,), which image belongs to each sample.

        Raises:
            InputError: nobody has set ``tokenize``.
        """
        samples, images, index = data['data_samples'], data['inputs'], None
        if not training:
            images, index = _without_repetition(images, [sample.get('shared_image') for sample in samples])
        elif self.share_in_training:
            images, index = _without_repetition(images, _equal_images(images, samples))
        prepared = dict(super().forward(dict(data, inputs=images), training), **self.prepare_text(
            [sample.text for sample in samples]))
        return prepared if index is None else dict(prepared, image_index=torch.tensor(index, device=self.device))

    def prepare_images(self, images: list[Tensor]) -> Tensor:
        """Normalise images and stack them into one tensor.

        Args:
            images: uint8 RGB (3, H, W) each.

        Returns:
            float32 (I, 3, H, W), on the model's device.
        """
        return super().forward(dict(inputs=images))['inputs']

    def prepare_text(self, texts: list[str]) -> dict[str, Tensor]:
        """Turn expressions into token ids and their mask.

        Args:
            texts: B expressions.

        Returns:
            ``token_ids`` and ``token_mask`` (B, L), on the model's device.

        Raises:
            InputError: nobody has set ``tokenize``.
        """
        if self.tokenize is None:
            raise InputError('ReferringDataPreProcessor has no tokenizer: a ReferringSegmentor hands over that of its '
                             'text encoder; alone, set `preprocessor.tokenize = text_encoder.tokenize`')
        token_ids, token_mask = self.tokenize(texts)
        return dict(token_ids=token_ids.to(self.device), token_mask=token_mask.to(self.device))


def _equal_images(images: Sequence[Tensor], samples: list[RefSegDataSample]) -> list[int]:
    """For each sample the first one with an equal image of the same file, of which transforms may have made others."""
    firsts: list[int] = []
    by_file: dict[str | None, list[int]] = {}
    for i, sample in enumerate(samples):
        earlier = by_file.setdefault(sample.get('img_path'), [])
        first = next((other for other in earlier if torch.equal(images[i], images[other])), i)
        earlier += [i] if first == i else []
        firsts.append(first)
    return firsts


def _without_repetition(images: Sequence[Tensor],
                        names: Sequence[Hashable]) -> tuple[Tensor | list[Tensor], list[int] | None]:
    """Each image once, and which one each sample has; None where each has its own.

    Images are one where their names are equal; None is nobody's name.
    """
    firsts = [i if name is None else names.index(name) for i, name in enumerate(names)]
    kept = sorted(set(firsts))
    if len(kept) == len(images):
        return images, None
    index = [kept.index(i) for i in firsts]
    return images[kept] if isinstance(images, Tensor) else [images[i] for i in kept], index
