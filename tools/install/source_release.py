"""The source release of a package, unpacked.

pip's own `download` would run the release's `setup.py` to learn its name and needs, which mmcv's cannot tell on every
Python; so pip finds and fetches the file, with the indexes, folders and certificates that it is set up for, and that
is all.
"""
import hashlib
import tarfile
from pathlib import Path

from exit_message import exit_with
from pip._internal.commands import create_command
from pip._vendor.packaging.specifiers import SpecifierSet


def download_release(name: str, version: str, folder: Path) -> Path:
    """The source release as a file in `folder`."""
    command = create_command('download')
    with command.main_context():
        options, _ = command.parse_args(['--no-binary', name])
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        best = finder.find_best_candidate(name, SpecifierSet(f'=={version}')).best_candidate
        if best is None:
            exit_with(f'the source release {name}=={version} was not found: the package index cannot be reached, or '
                      'lacks it', f'a network, or {name}-{version}.tar.gz in a folder that PIP_FIND_LINKS names',
                      "check the network and what 'pip config list' says")
        response = session.get(best.link.url_without_fragment)
        response.raise_for_status()
    content = response.content
    if best.link.hash and hashlib.new(best.link.hash_name, content).hexdigest() != best.link.hash:
        exit_with(f'{best.link.filename} arrived damaged', f'the {best.link.hash_name} {best.link.hash}',
                  'wait a little')
    target = folder / best.link.filename
    target.write_bytes(content)
    return target


def unpack(archive: Path, folder: Path) -> Path:
    """The one folder that a source release holds, unpacked in `folder`."""
    with tarfile.open(archive) as release:
        # Early patch releases of Python 3.10 and 3.11 have no filters.
        release.extraction_filter = getattr(tarfile, 'data_filter', lambda member, _: member)
        release.extractall(folder)
        return folder / release.getnames()[0].split('/')[0]
