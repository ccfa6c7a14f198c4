import os
import subprocess
from pathlib import Path

import pytest

import mmrefseg

HELPERS = Path(mmrefseg.__file__).parents[1] / 'tools/install'
TOOLS = HELPERS.parent
SCRIPTS = ('install', 'quickstart', 'run_tests', 'dist_train', 'dist_test', 'slurm_train')


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
    assert {path.stem for path in TOOLS.glob('*.sh')} == set(SCRIPTS)


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
    ('mmcv did not compile: c++: fatal error: Killed signal terminated program cc1plus',
     ('out of memory, with one file at a time too', '--no-ops')),
    ('ERROR: Cannot install numpy\nThe conflict is caused by:\n    mmrefseg depends on numpy>=1.26\n'
     '    The user requested (constraint) numpy==1.24\n\nERROR: ResolutionImpossible: for help visit',
     ('mmrefseg depends on numpy>=1.26 The user requested (constraint) numpy==1.24', 'lift the pin that is named')),
    ('collecting\nerror: subprocess-exited-with-error', ('a step failed: error: subprocess-exited-with-error', 'read')),
])
def test_failures(output, told, tmp_path):
    (tmp_path / 'output').write_text(output)
    script = (f'set -euo pipefail; logs={tmp_path}; prefix=/environment; source {HELPERS}/shell.sh; '
              f'run_step x "a step" bash -c "cat {tmp_path}/output; exit 1"')
    ended = run('-c', script)
    assert ended.returncode == 1 and ended.stderr.startswith('install: a step')
    assert all(part in ended.stderr for part in (*told, 'expected:', 'mend:', str(tmp_path / 'x.log')))


def test_too_little_space(tmp_path):
    ended = run('-c', f'source {HELPERS}/shell.sh; need_space 0 {tmp_path}; need_space 9999999 {tmp_path}')
    assert ended.returncode == 1 and f'too little disk space for {tmp_path}' in ended.stderr
