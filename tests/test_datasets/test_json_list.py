import json
from itertools import islice

import pytest

from mmrefseg.datasets import json_list
from mmrefseg.datasets.json_list import iterate_json_list

VALUES = [{'a': [1.5, 'x,]"[', {}]}, [], 'é\\"', 12345, None, {'long': 'y' * 40}]


@pytest.fixture(params=[1, 3, 1 << 20])
def piece(request, monkeypatch):
    """Pieces that end anywhere, even inside a number or an escape."""
    monkeypatch.setattr(json_list, '_PIECE', request.param)


@pytest.mark.parametrize('indent', [None, 2])
@pytest.mark.parametrize('number', [0, 1, len(VALUES)])
def test_equals_json(tmp_path, piece, indent, number):
    path = tmp_path / 'list.json'
    path.write_text('\n ' + json.dumps(VALUES[:number], indent=indent) + '\n')
    assert list(iterate_json_list(path)) == VALUES[:number]


@pytest.mark.parametrize('text', [
    '', '{"a": 1}', '[1, 2', '[1 2]', '[1,]', '[', '[,1]', '[{"a": }]', '[1] 2', '[] ]', '[' * 10 ** 5])
def test_refuses_what_is_no_list(tmp_path, piece, text):
    path = tmp_path / 'list.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'list\.json is not one whole list in JSON .* Get the file again'):
        list(iterate_json_list(path))


def test_reads_no_more_than_it_needs(tmp_path):
    path = tmp_path / 'list.json'
    path.write_text('[1, 2, ' + ' ' * (1 << 20) + 'rubbish')
    assert list(islice(iterate_json_list(path), 2)) == [1, 2]
