from pathlib import Path

import pytest
from helpers.refcoco_files import tiny_refcoco, write_refcoco


@pytest.fixture
def content() -> dict:
    return tiny_refcoco()


@pytest.fixture
def root(tmp_path: Path, content: dict) -> Path:
    return write_refcoco(tmp_path / 'tiny', content)
