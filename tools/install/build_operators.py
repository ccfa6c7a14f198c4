"""Builds the wheel of mmcv with its compiled operators, against the PyTorch that is here.

usage: python build_operators.py NAME==VERSION WHEEL_FOLDER SCRATCH_FOLDER
       python build_operators.py look WHEEL_FOLDER    (status 1 unless there is a whole wheel)

The wheel comes into its folder at once and whole; a second build of the same waits for the first and takes its wheel.
SCRATCH_FOLDER/tools holds the packages that building takes. Variables: see `tools/install.sh --help`.
"""
import fcntl
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from build_plan import Plan, make_plan
from exit_message import exit_with
from source_release import download_release, unpack
from unity_build import join_sources, mend_setup

JOB_MEMORY = 2.3e9  # bytes that the largest unit takes to compile
OUT_OF_MEMORY = re.compile(
    'Killed|exit code -9|annot allocate memory|out of memory|virtual memory exhausted')


def whole_wheel(folder: Path) -> Path | None:
    """The wheel in a folder, or None; what is left there of another's broken attempt is removed."""
    for path in folder.glob('*.whl'):
        try:
            with zipfile.ZipFile(path) as wheel:
                if wheel.testzip() is None:
                    return path
        except (zipfile.BadZipFile, EOFError, OSError):
            pass
        path.unlink()
    return None


def count_jobs() -> int:
    """How many files to compile at a time: one for each core, but no more than the memory holds."""
    available = re.search(r'MemAvailable:\s*(\d+)', Path('/proc/meminfo').read_text())
    memory = int(available.group(1)) * 1024
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / JOB_MEMORY)))


def settings(plan: Plan, tools: Path, jobs: int) -> dict[str, str]:
    """The environment variables of a build."""
    variables = dict(os.environ)

    def before(name: str, value: str, separator: str = os.pathsep) -> None:
        variables[name] = separator.join(filter(None, (value, variables.get(name))))

    before('PYTHONPATH', str(tools))
    before('PATH', str(tools / 'bin'))
    variables.update(MMCV_WITH_OPS='1', MAX_JOBS=str(jobs), FORCE_CUDA='1' if plan.cuda_home else '0')
    if plan.cuda_home:
        variables['CUDA_HOME'] = plan.cuda_home
        before('CPATH', plan.cuda_headers)
    else:
        variables['CUDA_VISIBLE_DEVICES'] = ''  # with a GPU in sight mmcv would try CUDA
    return variables


def compile_wheel(release: Path, variables: dict[str, str]) -> str | None:
    """Run mmcv's build, its output passed on. Returns None, or what the output says of the failure."""
    process = subprocess.Popen([sys.executable, 'setup.py', 'bdist_wheel'], cwd=release, env=variables, text=True,
                               errors='replace', stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    memory_line = None
    for line in process.stdout:
        print(line, end='', flush=True)
        if OUT_OF_MEMORY.search(line):
            memory_line = line
    return None if process.wait() == 0 else memory_line or ''


def build_wheel(requirement: str, folder: Path, scratch: Path) -> None:
    """Build and store the wheel; ends the program with a message if that fails."""
    plan = make_plan()
    release = unpack(download_release(*requirement.split('=='), scratch), scratch)
    join_sources(release)
    mend_setup(release, plan.standard)
    jobs = int(os.environ.get('MAX_JOBS') or count_jobs())
    failure = compile_wheel(release, settings(plan, scratch / 'tools', jobs))
    if failure and jobs > 1:
        print('install: the compiler ran out of memory: going on with one file at a time', flush=True)
        failure = compile_wheel(release, settings(plan, scratch / 'tools', 1))
    if failure is not None:
        sys.exit(f'mmcv did not compile{": " * bool(failure)}{failure.strip()}')
    wheel, = (release / 'dist').glob('*.whl')
    part = folder / f'part.{os.getpid()}'
    shutil.copyfile(wheel, part)
    with part.open('rb') as written:
        os.fsync(written.fileno())
    part.rename(folder / wheel.name)


def main(requirement: str, folder: str, scratch: str) -> None:
    wheels = Path(folder)
    try:
        wheels.mkdir(parents=True, exist_ok=True)
        lock = os.open(wheels, os.O_RDONLY)
    except OSError as error:
        exit_with(f'the wheel cache {wheels} cannot be written ({error.strerror})', 'a folder of your own',
                  'export XDG_CACHE_HOME=...')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if whole_wheel(wheels) is None:
            build_wheel(requirement, wheels, Path(scratch).resolve())
    finally:
        os.close(lock)


if __name__ == '__main__':
    if sys.argv[1] == 'look':
        sys.exit(whole_wheel(Path(sys.argv[2])) is None)
    main(*sys.argv[1:])
