"""From collated samples to the tensors that the model's forward takes."""
from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
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
        kwargs: the rest goes to ``ImgDataPreprocessor``.

    Raises:
        InputError: only one of ``mean`` and ``std`` is None.
    """

    def __init__(self,
                 mean: tuple[Finite, Finite, Finite] | None = (122.7709383, 116.7460125, 104.09373615),
                 std: tuple[_Positive, _Positive, _Positive] | None = (68.5005327, 66.6321579, 70.32316304),
                 **kwargs) -> None:
        if (mean is None) != (std is None):
            raise InputError(f'mean is {mean} and std is {std}; both must be None or neither')
        super().__init__(mean=mean, std=std, **kwargs)
        self.tokenize: Callable[[list[str]], tuple[Tensor, Tensor]] | None = None

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: ``inputs``, a list of uint8 RGB (3, H, W), and ``data_samples``, a list of RefSegDataSample.
            training: unused; mmengine's signature. Default False.

        Returns:
            ``inputs`` float32 (B, 3, H, W), ``token_ids`` and ``token_mask`` (B, L), and ``data_samples``.

        Raises:
            InputError: nobody has set ``tokenize``.
        """
        if self.tokenize is None:
            raise InputError('ReferringDataPreProcessor has no tokenizer: a ReferringSegmentor hands over that of its '
                             'text encoder; alone, set `preprocessor.tokenize = text_encoder.tokenize`')
        data = super().forward(data, training)
        token_ids, token_mask = self.tokenize([sample.text for sample in data['data_samples']])
        return dict(data, token_ids=token_ids.to(self.device), token_mask=token_mask.to(self.device))
