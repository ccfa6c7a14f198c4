import sys
from importlib.metadata import version

import pytest
from helpers.load_script import load_script
from helpers.refcoco_files import tiny_refcoco, write_refcoco

from mmrefseg.utils import mmcv_operator_stubs, requirements
from mmrefseg.utils.mmcv_operator_stubs import MMCV_EXTENSION


@pytest.fixture
def doctor():
    return load_script('tools/doctor.py')


def run(doctor, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, 'argv', ['doctor.py', *map(str, arguments)])
    status = 0
    try:
        doctor.main()
    except SystemExit as ending:
        status = ending.code
    return status, capsys.readouterr().out


def config_file(folder, text):
    path = folder / 'config.py'
    path.write_text(text)
    return path


def test_a_machine_where_all_is_well(doctor, monkeypatch, capsys):
    status, text = run(doctor, monkeypatch, capsys)
    assert status == 0 and text.endswith('\nno problem found\n')
    for part in ('mmrefseg ', 'torch ', 'mmsegmentation ', 'operators of MMCV', 'disk', 'memory'):
        assert part in text


def test_missing_weights_and_data(doctor, monkeypatch, capsys):
    status, text = run(doctor, monkeypatch, capsys, 'sera_dinov2_refcoco')
    assert status == 1
    assert 'problem 1: model.text_encoder needs the weights' in text
    assert 'data/refcoco is missing' in text.partition('problem 3')[2]
    assert 'problem 4' not in text  # the three loaders lack the same


def test_what_is_there(doctor, monkeypatch, capsys, tmp_path):
    write_refcoco(tmp_path / 'data', tiny_refcoco())
    (tmp_path / 'weights.pth').write_bytes(bytes(2 * 2**20))
    config = config_file(tmp_path, f'''
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint={str(tmp_path / 'weights.pth')!r})),
             neck=dict(init_cfg=dict(type='Pretrained', checkpoint='https://example.org/a.pth')))
train_dataloader = dict(dataset=dict(type='mmrefseg.RefCOCODataset', data_root={str(tmp_path / 'data')!r}))
''')
    status, text = run(doctor, monkeypatch, capsys, config)
    assert status == 0
    assert 'weights.pth: 2 MiB' in text
    assert 'https://example.org/a.pth, downloaded when' in text
    assert 'split train of ' in text


def test_packages_that_overwrite_each_other(doctor, monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'packages_distributions', lambda: {'cv2': ['opencv-python', 'opencv-python-headless']})
    monkeypatch.setattr(doctor, 'version', lambda name: '5.0.0')
    status, text = run(doctor, monkeypatch, capsys)
    assert status == 1
    assert 'overwrite each other: pip uninstall -y opencv-python opencv-python-headless' in text


def test_mmcv_beside_mmcv_lite(doctor, monkeypatch, capsys):
    """Told once, by the check that everything else makes, too."""
    monkeypatch.setattr(requirements, 'version', lambda name: '2.1.0' if name == 'mmcv-lite' else version(name))
    monkeypatch.setattr(doctor, 'why_not', requirements.why_not.__wrapped__)
    monkeypatch.setattr(doctor, 'packages_distributions', lambda: {'mmcv': ['mmcv', 'mmcv-lite']})
    monkeypatch.setattr(doctor, 'version', lambda name: '2.1.0')
    status, text = run(doctor, monkeypatch, capsys)
    assert status == 1 and text.count('pip uninstall') == 1 and 'problem 2' not in text
    told = next(line for line in text.splitlines() if 'are both installed, and overwrite each other' in line)
    assert 'mmcv-lite' in told.partition(' are both')[0] and 'mmcv-lite' in told.partition('pip uninstall -y ')[2]


def test_operators_that_are_not_compiled(doctor, monkeypatch, capsys):
    """The module that stands in for them counts as none."""
    monkeypatch.setitem(sys.modules, MMCV_EXTENSION, mmcv_operator_stubs._StandIn('they are not installed'))
    status, text = run(doctor, monkeypatch, capsys)
    assert status == 0 and 'operators of MMCV: not compiled\n' in text
