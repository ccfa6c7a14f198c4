"""From collated samples to the tensors that the model's forward takes."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from mmrefseg.registry import MODELS


@MODELS.register_module()
class ReferringDataPreProcessor(ImgDataPreprocessor):
    """Stacks and normalises images as mmengine's ``ImgDataPreprocessor`` does, and tokenises the expressions.

    The segmentor hands over its text encoder's ``tokenize`` as :attr:`tokenize`.

    Args:
        mean: mean of each RGB channel, 0 to 255. Default CLIP's.
        std: standard deviation of each RGB channel, 0 to 255. Default CLIP's.
        kwargs: the rest goes to ``ImgDataPreprocessor``.
    """

    def __init__(self,
                 mean: Sequence[float] = (122.7709383, 116.7460125, 104.09373615),
                 std: Sequence[float] = (68.5005327, 66.6321579, 70.32316304),
                 **kwargs) -> None:
        super().__init__(mean=mean, std=std, **kwargs)
        self.tokenize: Callable[[list[str]], tuple[Tensor, Tensor]] | None = None

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data: ``inputs``, a list of uint8 RGB (3, H, W), and ``data_samples``, a list of RefSegDataSample.
            training: unused; mmengine's signature. Default False.

        Returns:
            ``inputs`` float32 (B, 3, H, W), ``token_ids`` and ``token_mask`` (B, L), and ``data_samples``.
        """
        data = super().forward(data, training)
        token_ids, token_mask = self.tokenize([sample.text for sample in data['data_samples']])
        return dict(data, token_ids=token_ids.to(self.device), token_mask=token_mask.to(self.device))
