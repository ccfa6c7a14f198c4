"""Imports what the installation brings and prints its versions; fails if anything is missing, outdated or unfit.

usage: python check_installation.py STACK [no-ops] [tests]

STACK is `openmmlab` or `onedl`. With `no-ops` mmcv's compiled operators need not be there; with `tests`, what the test
suite needs must be.
"""
import json
import sys
from importlib.metadata import distribution, requires, version

from check_operators import check_operators
from packaging.requirements import Requirement
from torch_pair import check_pair
from versions import ROOT, SUPPORTED, mmcv_of

WATCHED = ('setup.py', 'mmrefseg/version.py', 'mmrefseg/utils/supported_versions.py')


def check_package() -> None:
    """The installed mmrefseg is this folder, and no older than its `setup.py` and version."""
    package = distribution('mmrefseg')
    origin = json.loads(package.read_text('direct_url.json') or '{}')
    if origin != {'dir_info': {'editable': True}, 'url': ROOT.as_uri()}:
        sys.exit(f'mmrefseg is installed from {origin.get("url")}, not as an editable package from {ROOT}')
    installed = package.locate_file(f'mmrefseg-{package.version}.dist-info').stat().st_mtime
    if any((ROOT / path).stat().st_mtime > installed for path in WATCHED):
        sys.exit('setup.py or the version has changed since mmrefseg was installed')


def check_declared_packages(extras: list[str]) -> None:
    """Every package that `setup.py` asks for is there, in a version that it accepts."""
    for requirement in map(Requirement, requires('mmrefseg')):
        marker = requirement.marker
        wanted = marker is None or any(marker.evaluate({'extra': extra}) for extra in extras)
        if wanted and not requirement.specifier.contains(version(requirement.name), prereleases=True):
            sys.exit(f'{requirement} is needed, {version(requirement.name)} is installed')


def check_imports() -> None:
    """Import mmrefseg and the packages that must work together with it."""
    import mmrefseg
    mmrefseg.register_all_modules(init_default_scope=False)
    import mmseg.models  # noqa: F401
    import open_clip  # noqa: F401


def main(stack: str, *words: str) -> None:
    check_pair()
    check_package()
    check_declared_packages([stack, *words])
    name, number = mmcv_of(stack, operators='no-ops' not in words)
    compiled = 'without operators' if 'no-ops' in words else f'operators for {check_operators(name, number)}'
    check_imports()
    print(f'{"Python":<22}{sys.version.split()[0]:<14}{sys.prefix}')
    others = [package for module, (package, *_) in SUPPORTED.STACKS[stack].items() if module != 'mmcv']
    for package in ('torch', 'torchvision', 'numpy', name, *others, 'open_clip_torch', 'mmrefseg'):
        print(f'{package:<22}{version(package):<14}{compiled if package == name else ""}'.rstrip())


if __name__ == '__main__':
    main(*sys.argv[1:])
