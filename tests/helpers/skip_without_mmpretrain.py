"""Tests of models of mmpretrain, which is optional and cannot be imported beside transformers 5."""
import pytest

from mmrefseg.errors import MissingPackageError
from mmrefseg.utils.requirements import check_importable


def skip_without_mmpretrain() -> None:
    """Skip a test where mmpretrain is missing or cannot be imported."""
    try:
        check_importable(dict(type='mmpretrain.ResNet'))
    except MissingPackageError as error:
        pytest.skip(str(error))
