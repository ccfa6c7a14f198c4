import zipfile
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

WHEEL = 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'


def write_wheel(path):
    with zipfile.ZipFile(path, 'w') as wheel:
        wheel.writestr('mmcv/_ext.so', 'operators' * 100)


@pytest.fixture
def builder(helper):
    return helper('build_operators')


@pytest.fixture
def build(builder, monkeypatch, tmp_path):
    """Builds with a compiler whose answers the test gives; returns the jobs of each attempt."""
    attempts, answers = [], [None]

    def compile_wheel(release, variables):
        attempts.append(variables['MAX_JOBS'])
        answer = answers.pop(0)
        if answer is None:
            (release / 'dist').mkdir()
            write_wheel(release / 'dist' / WHEEL)
        return answer

    monkeypatch.setattr(builder, 'make_plan', lambda: SimpleNamespace(standard=17, cuda_home='', cuda_headers=''))
    monkeypatch.setattr(builder, 'download_release', lambda name, version, folder: folder)
    monkeypatch.setattr(builder, 'unpack', lambda archive, folder: folder)
    monkeypatch.setattr(builder, 'join_sources', lambda release: None)
    monkeypatch.setattr(builder, 'mend_setup', lambda release, standard: None)
    monkeypatch.setattr(builder, 'count_jobs', lambda: 2)
    monkeypatch.setattr(builder, 'compile_wheel', compile_wheel)
    monkeypatch.delenv('MAX_JOBS', raising=False)
    (tmp_path / 'scratch').mkdir()
    return SimpleNamespace(attempts=attempts, answers=answers, wheels=tmp_path / 'wheels', run=lambda: builder.main(
        'mmcv==2.1.0', str(tmp_path / 'wheels'), str(tmp_path / 'scratch')))


def test_the_wheel_comes_whole(build, builder):
    build.run()
    assert [path.name for path in build.wheels.iterdir()] == [WHEEL] and build.attempts == ['2']
    assert builder.whole_wheel(build.wheels).name == WHEEL
    build.run()
    assert build.attempts == ['2']  # it is there


def test_a_compiler_without_memory_is_tried_with_one_job(build):
    build.answers[:] = ['c++: fatal error: Killed signal terminated program cc1plus\n', None]
    build.run()
    assert build.attempts == ['2', '1'] and (build.wheels / WHEEL).exists()


@pytest.mark.parametrize('answers', [[''], ['Killed', 'Killed']])
def test_what_does_not_compile(build, answers):
    build.answers[:] = answers
    with pytest.raises(SystemExit, match='mmcv did not compile'):
        build.run()
    assert len(build.attempts) == len(answers) and not list(build.wheels.iterdir())


@pytest.mark.parametrize('damage', [
    lambda data: data[:len(data) // 2], lambda data: b'', lambda data: data.replace(b'operators', b'operaturs', 1)])
def test_a_half_written_wheel_is_built_anew(build, builder, damage):
    build.wheels.mkdir()
    path = build.wheels / WHEEL
    write_wheel(path)
    assert builder.whole_wheel(build.wheels) == path
    path.write_bytes(damage(path.read_bytes()))
    build.run()
    assert build.attempts == ['2'] and builder.whole_wheel(build.wheels) == path


def test_two_at_once_build_one(build):
    """The second waits, and finds the wheel of the first."""
    threads = [Thread(target=build.run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.attempts == ['2'] and (build.wheels / WHEEL).exists()


@pytest.mark.skipif(not Path('/proc/meminfo').exists(), reason='Linux alone tells its memory so')
def test_jobs(builder, monkeypatch):
    monkeypatch.setattr(builder.os, 'sched_getaffinity', lambda _: range(8))
    for gigabytes, jobs in ((1, 1), (4.7, 2), (64, 8)):
        told = f'MemTotal: 99 kB\nMemAvailable:  {int(gigabytes * 1e9 / 1024)} kB\n'
        monkeypatch.setattr(builder.Path, 'read_text', lambda _, told=told: told)
        assert builder.count_jobs() == jobs


def test_the_compilers_output_is_passed_on(builder, tmp_path, capsys):
    (tmp_path / 'setup.py').write_text('import sys; print(sys.argv[1]); sys.exit("virtual memory exhausted: no more")')
    assert builder.compile_wheel(tmp_path, {}) == 'virtual memory exhausted: no more\n'
    assert capsys.readouterr().out.startswith('bdist_wheel\n')
    # What distutils and Ninja say of a compiler that was killed.
    for killed in ("error: command '/usr/bin/g++' failed with exit code -9", 'FAILED: [code=137] a.o\nKilled'):
        (tmp_path / 'setup.py').write_text(f'import sys; print({killed!r}); sys.exit(1)')
        assert builder.compile_wheel(tmp_path, {}).strip().endswith(('exit code -9', 'Killed'))
    (tmp_path / 'setup.py').write_text('')
    assert builder.compile_wheel(tmp_path, {}) is None


def test_settings(builder, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', '/usr/bin')
    monkeypatch.setenv('CPATH', '/own')
    plan = SimpleNamespace(cuda_home='/cuda', cuda_headers='/headers')
    variables = builder.settings(plan, tmp_path, 3)
    assert variables['FORCE_CUDA'] == '1' and variables['CUDA_HOME'] == '/cuda' and variables['MAX_JOBS'] == '3'
    assert variables['CPATH'] == '/headers:/own' and variables['PATH'] == f'{tmp_path}/bin:/usr/bin'
    variables = builder.settings(SimpleNamespace(cuda_home='', cuda_headers=''), tmp_path, 1)
    assert variables['FORCE_CUDA'] == '0' and variables['CUDA_VISIBLE_DEVICES'] == '' and variables['CPATH'] == '/own'
