"""The command that tunes a model, with the tools that it runs replaced."""
import multiprocessing
import sys
import time

import pytest
import torch
from helpers.load_script import load_script
from mmengine.config import Config

from mmrefseg.utils.worker_processes import is_running


@pytest.fixture
def tool():
    return load_script('tools/finetune.py')


@pytest.fixture
def run(tool, tmp_path, monkeypatch):
    """Runs the command; gives the command lines of the tools."""
    ran = []

    def pretend(name, *arguments, needed=True):
        ran.append([name, *map(str, arguments)])
        folder = tmp_path / 'out'
        if name == 'train.py':
            torch.save({}, folder / 'best_mIoU_epoch_3.pth')
        if name.endswith('calibrate.py'):
            (folder / 'calibration.json').write_text('{"temperature": 2.0, "shift": -0.5, "fit": "val"}')
        if name.endswith('report.py'):
            (folder / 'report.md').write_text('# Report\n')
        return True

    monkeypatch.setattr(tool, 'run_tool', pretend)
    monkeypatch.setattr(tool, 'look_at', lambda folder: tool_data)
    tool_data = sys.modules['mmrefseg.apis.finetuning_config'].OwnData(tmp_path / 'data', 20, ['val', 'test'], False)

    def call(*arguments):
        ran.clear()
        monkeypatch.setattr(sys, 'argv', ['finetune.py', str(tmp_path / 'data'), '--work-dir', str(tmp_path / 'out'),
                                          *arguments])
        tool.main()
        return list(ran)
    return call


def test_trains_tests_and_reports(run, tmp_path, capsys):
    train, test, probe, calibrate, report, errors = run('--config', 'sera_tiny_refshapes', '--epochs', '4')
    out = tmp_path / 'out'
    best = str(out / 'finetuned.pth')
    assert (out / 'finetuned.pth').read_bytes() == (out / 'best_mIoU_epoch_3.pth').read_bytes()
    config = Config.fromfile(out / 'finetune.py')
    assert config.train_cfg.max_epochs == 4
    assert config.model.test_cfg == dict(threshold=0.35, calibration=dict(temperature=2.0, shift=-0.5))
    assert train == ['train.py', str(out / 'finetune.py'), '--work-dir', str(out)]
    assert test[1:] == [str(out / 'finetune.py'), best, '--work-dir', str(out), '--splits', 'val', 'test',
                        '--out', str(out / 'predictions.json')]
    assert probe[0] == 'analysis_tools/probe_language.py' and probe[-3:] == ['permuted', 'absent', 'places']
    assert calibrate == ['analysis_tools/calibrate.py', str(out / 'predictions.json'), '--fit', 'val']
    assert report == ['analysis_tools/quickstart_report.py', str(out)]
    assert errors[0] == 'analysis_tools/analyze_errors.py' and errors[-1] == str(out / 'errors')
    said = capsys.readouterr().out
    assert '20 objects to train on, in batches of 20, 4 times' in said and f'--weights {best}' in said


def test_nothing_is_overwritten_and_a_stopped_one_goes_on(run):
    run('--config', 'sera_tiny_refshapes')
    with pytest.raises(SystemExit, match='holds best_mIoU_epoch_3.pth, finetuned.pth, calibration.json of another run'):
        run('--config', 'sera_tiny_refshapes')
    assert run('--config', 'sera_tiny_refshapes', '--resume')[0][-1] == '--resume'


@pytest.mark.parametrize('name', ['a.pth', 'predictions.json', 'report.md', 'errors', 'metrics.json'])
def test_results_of_another_run_stay(run, tmp_path, name):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / name).write_bytes(b'theirs')
    with pytest.raises(SystemExit, match=f'holds {name} of another run, which would be lost'):
        run('--config', 'sera_tiny_refshapes')
    assert (tmp_path / 'out' / name).read_bytes() == b'theirs' and not (tmp_path / 'out/finetune.py').exists()


def test_the_config_of_another_run_stays(run, tool, tmp_path, monkeypatch):
    """One that was stopped ahead of its first checkpoint has nothing else; the very same may begin again."""
    monkeypatch.setattr(tool, 'report_on', lambda *_: None)
    run('--config', 'sera_tiny_refshapes', '--epochs', '4')
    config = (tmp_path / 'out/finetune.py').read_bytes()
    for path in (tmp_path / 'out').glob('*.pth'):
        path.unlink()
    for other in (['--epochs', '5'], ['--epochs', '4', '--lr-scale', '0.1']):
        with pytest.raises(SystemExit, match='holds finetune.py of another run'):
            run('--config', 'sera_tiny_refshapes', *other)
        assert (tmp_path / 'out/finetune.py').read_bytes() == config
    assert run('--config', 'sera_tiny_refshapes', '--epochs', '4')


def test_braces_of_which_a_config_would_make_something_else(run, tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'look_at', lambda folder: sys.modules['mmrefseg.apis.finetuning_config'].OwnData(
        tmp_path / '{{fileDirname}}', 20, ['val'], False))
    with pytest.raises(SystemExit, match='has two braces, which mean something else in a config: rename'):
        run('--config', 'sera_tiny_refshapes')
    assert not (tmp_path / 'out/finetune.py').exists()


def test_nothing_to_go_on_with(run):
    with pytest.raises(SystemExit, match='holds no finetune.py of a run that could go on'):
        run('--config', 'sera_tiny_refshapes', '--resume')


@pytest.mark.parametrize('differs', [False, True])
def test_what_was_before_is_measured_too(run, tmp_path, differs):
    torch.save({}, start := str(tmp_path / 'start.pth'))
    _, test, *_ = run('--config', 'sera_tiny_refshapes', '--from', start,
                      *(['--may-differ', 'decode_head'] if differs else []))
    assert test[0] == 'test.py'
    if differs:
        assert '--against' not in test, 'it does not fit the config'
    else:
        assert test[-3:] == ['--against', 'sera_tiny_refshapes', start]


def test_what_it_knew_is_measured_with_all_its_parts(run, tool, tmp_path, monkeypatch):
    torch.save({}, start := str(tmp_path / 'start.pth'))
    monkeypatch.setattr(tool, 'finetune_config', lambda *_: without_reading_data(tool))
    _, old, test, *_ = run('--config', 'sera_tiny_refshapes', '--from', start, '--keep', '1', '--absent', '0.2')
    folder = tmp_path / 'out/old_data'
    assert old == ['test.py', str(folder / 'sera_tiny_refshapes.py'), str(tmp_path / 'out/finetuned.pth'),
                   '--work-dir', str(folder), '--against', 'sera_tiny_refshapes', start]
    assert test[-3:] == old[-3:]
    config = Config.fromfile(folder / 'sera_tiny_refshapes.py')
    assert config.model.decode_head.presence == {} and config.test_dataloader.dataset.data_root == 'data/refshapes'


def without_reading_data(tool):
    config = tool.read_config('sera_tiny_refshapes')
    config.model.decode_head.presence = {}
    config.train_cfg = dict(max_epochs=1)
    return config


@pytest.mark.parametrize('arguments, message', [
    ([], 'name a checkpoint with --from, or with --config'),
    (['--config', 'sera_tiny_refshapes', '--interpolate', '0.5'], '--interpolate takes a share'),
    (['--from', 'a.pth', '--interpolate', '0.5', '--absent', '0.2'], 'the same weights before and after'),
])
def test_command_lines_that_make_no_sense(run, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(*arguments)


def test_a_tool_that_fails_ends_all(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'shipped_folder', lambda _: tmp_path)
    (tmp_path / 'tool.py').write_text('import sys\nsys.exit(int(sys.argv[1]))')
    assert tool.run_tool('tool.py', 0) and not tool.run_tool('tool.py', 3, needed=False)
    with pytest.raises(SystemExit) as ending:
        tool.run_tool('tool.py', 3)
    assert ending.value.code == 3


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ends a process with its parent')
def test_no_tool_goes_on_when_it_is_killed(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'shipped_folder', lambda _: tmp_path)
    (tmp_path / 'slow.py').write_text('import os, pathlib, sys, time\n'
                                      'folder = pathlib.Path(sys.argv[1])\n'
                                      '(folder / "new").write_text(str(os.getpid()))\n'
                                      '(folder / "new").rename(folder / "started")\n'
                                      'time.sleep(10)\n'
                                      '(folder / "done").touch()')
    process = multiprocessing.get_context('fork').Process(target=tool.run_tool, args=('slow.py', tmp_path))
    process.start()
    while not (tmp_path / 'started').exists():
        assert process.is_alive()
        time.sleep(0.02)
    process.kill()
    process.join()
    while is_running(int((tmp_path / 'started').read_text())):
        time.sleep(0.02)
    assert not (tmp_path / 'done').exists()


def test_interpolated_weights(tool, tmp_path, monkeypatch):
    first, second = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    for name, model in (('a', first), ('b', second)):
        torch.save({'state_dict': model.state_dict()}, tmp_path / f'{name}.pth')
    monkeypatch.setattr(tool, 'build_model', lambda _: torch.nn.Linear(2, 1))
    monkeypatch.setattr(tool, 'read_config', lambda _: None)
    path = tool.write_interpolated(tmp_path / 'c.py', str(tmp_path / 'a.pth'), tmp_path / 'b.pth', 0.25)
    expected = 0.75 * first.weight + 0.25 * second.weight
    assert torch.allclose(torch.load(path)['state_dict']['weight'], expected)
