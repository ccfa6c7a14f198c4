"""What data sets around another one have in common."""
from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from mmrefseg.registry import DATASETS

from .seeding import seeded


class DatasetWrapper(Dataset):
    """Samples of another data set, prepared by its pipeline, of which something else is asked.

    Args:
        dataset: the data set inside, or its config.
    """

    def __init__(self, dataset: Dataset | dict) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    @property
    def metainfo(self) -> dict:
        """Meta information of the data set inside."""
        return self.dataset.metainfo

    def get_data_info(self, idx: int) -> dict:
        """What is known of a sample before the pipeline.

        Args:
            idx: the sample's index.
        """
        raise NotImplementedError

    def __getitem__(self, idx: int) -> Any:
        with seeded(idx):
            return self.dataset.pipeline(self.get_data_info(idx))
