import fcntl
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

import mmrefseg

HELPERS = Path(mmrefseg.__file__).parents[1] / 'tools/install'
TOOLS = HELPERS.parent
SCRIPTS = ('install', 'quickstart', 'run_tests', 'dist_train', 'dist_test', 'slurm_train',
           'analysis_tools/gpu_report')


def run(*command, **variables):
    return subprocess.run(['bash', *command], capture_output=True, text=True,
                          env={'PATH': os.environ['PATH'], **variables})


@pytest.mark.parametrize('script', SCRIPTS)
@pytest.mark.parametrize('option', ['--help', '-h'])
def test_help_only_prints(script, option, tmp_path):
    ended = run(str(TOOLS / f'{script}.sh'), option, VIRTUAL_ENV=str(tmp_path))
    assert ended.returncode == 0 and not ended.stderr
    assert f'tools/{script}.sh' in ended.stdout and 'usage: ' in ended.stdout
    assert not list(tmp_path.iterdir())


def test_every_script_is_here():
    # Those in tools/install are parts of others.
    assert {str(path.relative_to(TOOLS).with_suffix('')) for path in TOOLS.rglob('*.sh')
            if path.parent != HELPERS} == set(SCRIPTS)


def test_wrong_words_install_nothing(tmp_path):
    ended = run(str(TOOLS / 'quickstart.sh'), '--seed', VIRTUAL_ENV=str(tmp_path))
    assert ended.returncode == 2 and "the seed is '--seed'; it must be a whole number" in ended.stderr
    ended = run(str(TOOLS / 'install.sh'), '--test', VIRTUAL_ENV=str(tmp_path))
    assert ended.returncode == 2 and ended.stderr.startswith('usage: bash tools/install.sh')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('output', 'told'), [
    ('OSError: [Errno 28] No space left on device', ('the disk is full', '/environment')),
    ('WARNING: Retrying after connection broken by NewConnectionError: Name or service not known',
     ('the package index cannot be reached', 'PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER', 'the source release of mmcv')),
    ('ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: 2.13.0+cpu)\n'
     'ERROR: No matching distribution found for torch==2.11.0',
     ('or lacks a package (torch==2.11.0)', 'PIP_FIND_LINKS')),
    ('mmcv did not compile: c++: fatal error: Killed signal terminated program cc1plus',
     ('out of memory, with one file at a time too', '--no-ops')),
    ('ERROR: Cannot install numpy\nThe conflict is caused by:\n    mmrefseg depends on numpy>=1.26\n'
     '    The user requested (constraint) numpy==1.24\n\n'
     'To fix this you could\n\nERROR: ResolutionImpossible: for help visit',
     ('mmrefseg depends on numpy>=1.26 The user requested (constraint) numpy==1.24 \n', 'lift the pin that is named')),
    ('collecting\nerror: subprocess-exited-with-error', ('a step failed: error: subprocess-exited-with-error', 'read')),
])
def test_failures(output, told, tmp_path):
    (tmp_path / 'output').write_text(output)
    script = (f'set -euo pipefail; logs={tmp_path}; prefix=/environment; source {HELPERS}/run_step.sh; '
              f'run_step x "a step" bash -c "cat {tmp_path}/output; exit 1"')
    ended = run('-c', script)
    assert ended.returncode == 1 and ended.stderr.startswith('install: a step')
    assert all(part in ended.stderr for part in (*told, 'expected:', 'mend:', str(tmp_path / 'x.log')))


def test_without_an_index_a_missing_file_is_no_conflict(tmp_path):
    told = ('ERROR: Cannot install torch==2.11.0 because these package versions have conflicting dependencies.\n\n'
            'The conflict is caused by:\n    The user requested torch==2.11.0\n'
            '    The user requested (constraint) torch<=2.14.1\n\nERROR: ResolutionImpossible: for help visit')
    script = f'logs={tmp_path}; prefix=/environment; source {HELPERS}/run_step.sh; run_step x "a step" bash -c "$TOLD"'
    for variables, expected in (({'PIP_NO_INDEX': '1'}, 'lacks a package (torch==2.11.0)'), ({}, 'exclude each other')):
        ended = run('-c', script, TOLD=f'echo "{told}"; exit 1', **variables)
        assert ended.returncode == 1 and expected in ended.stderr


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
    """A new one with pip alone, a link, as installing it takes seconds."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, symlinks=True)
    packages = sysconfig.get_path('purelib', vars={'base': str(folder), 'platbase': str(folder)})
    Path(packages, 'pip').symlink_to(Path(sysconfig.get_path('purelib'), 'pip'))
    return folder


@pytest.mark.parametrize(('variables', 'told'), [
    ({'CXX': '/nowhere/c++'}, ('no C++ compiler found (tried /nowhere/c++)', 'export CXX=')),
    ({'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': '/nowhere'}, ('lacks a package (torch==', 'the source release of mmcv')),
])
def test_nothing_is_there(environment, tmp_path, variables, told):
    """Neither PyTorch nor a compiler or a network."""
    options = [] if 'CXX' in variables else ['--no-ops']
    ended = run(str(TOOLS / 'install.sh'), '--cuda', *options, HOME=str(tmp_path), VIRTUAL_ENV=str(environment),
                PIP_CONFIG_FILE=os.devnull, **variables)
    assert ended.returncode == 1 and all(part in ended.stderr for part in told)
    assert not list(environment.glob('mmrefseg-scratch.*'))  # it tidied up


def test_too_little_space(tmp_path):
    ended = run('-c', f'source {HELPERS}/run_step.sh; need_space 0 {tmp_path}; need_space 9999999 {tmp_path}')
    assert ended.returncode == 1 and f'too little disk space for {tmp_path}' in ended.stderr


TOOLS_OF_THE_SYSTEM = ('awk', 'basename', 'bash', 'cut', 'df', 'dirname', 'flock', 'grep', 'mkdir', 'mktemp', 'rm',
                       'sed', 'sleep', 'tail', 'tr')


def test_no_compiler_on_the_path(environment, tmp_path):
    """Said before PyTorch is downloaded."""
    for name in TOOLS_OF_THE_SYSTEM:
        (tmp_path / name).symlink_to(shutil.which(name))
    ended = run(str(TOOLS / 'install.sh'), '--cuda', HOME=str(tmp_path), VIRTUAL_ENV=str(environment),
                PIP_CONFIG_FILE=os.devnull, PATH=str(tmp_path))
    assert ended.returncode == 1 and 'installing PyTorch' not in ended.stdout
    assert 'no C++ compiler found (tried c++ g++ clang++)' in ended.stderr and 'apt install g++' in ended.stderr


def test_a_second_installation_waits(environment, tmp_path):
    """And goes on when the first one ends, here to where it fails for want of an index."""
    lock = os.open(environment, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        second = subprocess.Popen(
            ['bash', str(TOOLS / 'install.sh'), '--no-ops', '--cuda'], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={'PATH': os.environ['PATH'], 'HOME': str(tmp_path), 'VIRTUAL_ENV': str(environment),
                 'PIP_CONFIG_FILE': os.devnull, 'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': '/nowhere'})
        assert second.stdout.readline() == 'install: another installation is running here; waiting for it\n'
        assert second.poll() is None
    finally:
        os.close(lock)
    _, problem = second.communicate()
    assert second.returncode == 1 and 'lacks a package (torch==' in problem
