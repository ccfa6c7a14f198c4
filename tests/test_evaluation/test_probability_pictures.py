import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mmrefseg.errors import InputError
from mmrefseg.evaluation.failures import threshold_sweep
from mmrefseg.evaluation.failures.threshold_sweep import read_probability


def written(size):
    content = BytesIO()
    Image.new('L', size, 128).save(content, 'PNG')
    return base64.b64encode(content.getvalue()).decode()


def test_a_picture():
    assert np.array_equal(read_probability(written((5, 3)), 'x'), np.full((3, 5), 128, np.uint8))


@pytest.mark.parametrize('size', [(1025, 1), (1, 1025), (9000, 9900)])
def test_a_large_picture_is_not_decoded(monkeypatch, size):
    monkeypatch.setattr(threshold_sweep, 'decode_image', None)
    with pytest.raises(InputError, match=f"^x: 'probability' is {size[0]} x {size[1]} pixels; at most 1024 a side"):
        read_probability(written(size), 'x')


@pytest.mark.parametrize(('picture', 'message'), [
    (5, 'must be an 8-bit grey PNG in base64, got an object of type int'), ('%', 'must be an 8-bit grey PNG in base64'),
    ('ä', 'must be'), (base64.b64encode(b'no').decode(), "'probability' of x: it is damaged")])
def test_what_is_no_picture(picture, message):
    with pytest.raises(InputError, match=message):
        read_probability(picture, 'x')
