"""The command that measures metadata; no test asks for a time or an amount of memory."""
import json
import sys
from types import ModuleType

import numpy as np
import pytest
from helpers.load_script import load_script

from mmrefseg.structures.mask_formats import draw_mask


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    module = load_script('tools/analysis_tools/benchmark_metadata.py')
    sys.modules[module.__name__] = module  # functions go to other processes by name
    return module


@pytest.mark.parametrize(('name', 'expressions'), [('refcoco', 250), ('phrasecut', 180)])
def test_figures(tool, monkeypatch, tmp_path, capsys, name, expressions):
    out = tmp_path / 'out.json'
    monkeypatch.setattr(sys, 'argv', ['benchmark_metadata.py', name, '--images', '40', '--out', str(out)])
    tool.main()
    figures = json.loads(out.read_text())
    assert list(figures['sets']) == [name]
    rows = figures['sets'][name]
    assert rows['build']['expressions'] == rows['open']['expressions'] >= expressions
    assert rows['build']['peak_mb'] >= rows['build']['empty_mb'] > 50
    assert rows['build']['seconds'] > 0 < rows['open']['seconds']
    for kind in ('worker_built', 'worker_prepared'):
        assert rows[kind]['private_mb'] > 0.1
        assert 'added_mb' in rows[kind]
    assert f'{name}, ' in (printed := capsys.readouterr().out)
    assert all(word in printed for word in ('build', 'open', 'worker', 'machine'))


def test_outlines_become_rle(tool):
    square = [2, 2, 12, 2, 12, 12, 2, 12]
    size = {'height': 24, 'width': 32}
    for segmentation in ([square], {'instances': [[square]]}):
        rle = tool.outline_rle({'segmentation': segmentation, **size})
        assert np.array_equal(draw_mask(rle, 24, 32), draw_mask([square], 24, 32))


@pytest.mark.parametrize(('arguments', 'message'), [
    (('coco', ), "no set .'coco'.; choose from refcoco, phrasecut"),
    (('--images', '5'), '--images is 5'),
    (('--workers', '1'), '--workers is 1'),
])
def test_wrong_input_ends_in_one_line(tool, monkeypatch, arguments, message):
    monkeypatch.setattr(sys, 'argv', ['benchmark_metadata.py', *arguments])
    with pytest.raises(SystemExit, match=message):
        tool.main()
