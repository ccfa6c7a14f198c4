"""Imports what the installation brings and prints its versions; fails if anything is missing, outdated or unfit.

With the argument `tests`, what the test suite needs counts as well.
"""
import json
import sys
from importlib.metadata import distribution, requires, version
from pathlib import Path

from operators import check_operators
from packaging.requirements import Requirement
from torch_pair import check_pair

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmsegmentation', 'mmpretrain', 'open_clip_torch', 'mmrefseg')


def check_package() -> None:
    """The installed mmrefseg is this folder, and no older than its `setup.py` and version."""
    package = distribution('mmrefseg')
    origin = json.loads(package.read_text('direct_url.json') or '{}')
    if origin != {'dir_info': {'editable': True}, 'url': ROOT.as_uri()}:
        sys.exit(f'mmrefseg is installed from {origin.get("url")}, not as an editable package from {ROOT}')
    installed = package.locate_file(f'mmrefseg-{package.version}.dist-info').stat().st_mtime
    if any(path.stat().st_mtime > installed for path in (ROOT / 'setup.py', ROOT / 'mmrefseg/version.py')):
        sys.exit('setup.py or the version has changed since mmrefseg was installed')


def check_requirements(extra: str) -> None:
    """Every package that `setup.py` asks for is there, in a version that it accepts."""
    for requirement in map(Requirement, requires('mmrefseg')):
        wanted = requirement.marker is None or requirement.marker.evaluate({'extra': extra})
        if wanted and not requirement.specifier.contains(version(requirement.name), prereleases=True):
            sys.exit(f'{requirement} is needed, {version(requirement.name)} is installed')


def check_imports() -> str:
    """The packages work together; returns what mmcv's operators were compiled for."""
    import mmpretrain  # noqa: F401
    import mmseg  # noqa: F401
    import open_clip  # noqa: F401

    import mmrefseg  # noqa: F401
    return check_operators()


def main(extra: str = '') -> None:
    check_pair()
    check_package()
    check_requirements(extra)
    notes = {'mmcv': f'operators for {check_imports()}'}
    print(f'{"Python":<16}{sys.version.split()[0]:<12}{sys.prefix}')
    for name in SHOWN:
        print(f'{name:<16}{version(name):<12}{notes.get(name, "")}'.rstrip())


if __name__ == '__main__':
    main(*sys.argv[1:])
