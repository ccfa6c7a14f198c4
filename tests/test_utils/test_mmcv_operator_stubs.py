import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmrefseg.utils import mmcv_operator_stubs as operators

WITHOUT = """
import mmrefseg
mmrefseg.register_all_modules()
import mmseg.models, mmseg.utils, mmcv.ops, mmcv.utils.env, mmcv.utils.ext_loader, torch
assert not mmcv.utils.ext_loader.check_ops_exist()
assert mmcv.utils.env.collect_env()['MMCV Compiler'] == 'n/a'
from mmrefseg.utils import mmcv_operator_stubs as operators
assert not operators.compiled() and not operators.compiled_for_cuda()
print(mmcv.ops.get_compiling_cuda_version())
points = mmcv.ops.point_sample(torch.arange(4.).reshape(1, 1, 2, 2), torch.tensor([[[0.25, 0.75]]]))
print(points.item())
try:
    mmcv.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)
except ImportError as error:
    print(error)
"""


def test_everything_imports_without_them(tmp_path):
    """And what mmsegmentation imports from mmcv.ops at import time, with no warning."""
    (tmp_path / 'mmcv').mkdir()
    for path in Path(find_spec('mmcv').origin).parent.iterdir():
        if not path.name.startswith('_ext'):
            (tmp_path / 'mmcv' / path.name).symlink_to(path)
    search = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get('PYTHONPATH'))))
    ended = subprocess.run([sys.executable, '-c', WITHOUT], capture_output=True, text=True,
                           env={**os.environ, 'PYTHONPATH': search})
    assert ended.returncode == 0, ended.stderr
    assert 'left out' not in ended.stderr
    cuda, sampled, message = ended.stdout.splitlines()
    assert cuda == 'not available' and float(sampled) == 2.0
    assert message.startswith("nms is one of mmcv's compiled operators, and they are not installed.")
    assert 'bash tools/install.sh' in message


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.delitem(sys.modules, operators.MMCV_EXTENSION, raising=False)
    yield monkeypatch
    operators.compiled.cache_clear()
    operators.compiled_for_cuda.cache_clear()


def test_a_file_that_cannot_be_loaded(fresh):
    def fail(name):
        raise ImportError('undefined symbol: _ZN3c10')

    fresh.setattr(operators, '_file_exists', lambda: True)
    fresh.setattr(operators, 'import_module', fail)
    with pytest.warns(UserWarning, match=r'built for another PyTorch \(undefined symbol: _ZN3c10\)\. Run `bash tools'):
        operators.stand_in()
    operators.compiled.cache_clear()
    assert not operators.compiled()
    with pytest.raises(ImportError, match='roi_align_forward .*undefined symbol'):
        sys.modules[operators.MMCV_EXTENSION].roi_align_forward(1, aligned=True)


@pytest.mark.parametrize(('answer', 'expected'), [('12.8', True), ('not available', False)])
def test_what_they_were_compiled_for(fresh, answer, expected):
    fresh.setitem(sys.modules, operators.MMCV_EXTENSION, SimpleNamespace(get_compiling_cuda_version=lambda: answer))
    operators.compiled.cache_clear()
    operators.compiled_for_cuda.cache_clear()
    assert operators.compiled() and operators.compiled_for_cuda() is expected
