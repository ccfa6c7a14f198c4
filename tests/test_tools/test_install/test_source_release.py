import io
import subprocess
import sys
import tarfile
from pathlib import Path

import mmrefseg

HELPERS = Path(mmrefseg.__file__).parents[1] / 'tools/install'
FETCH = ('import sys; from pathlib import Path; from source_release import download_release, unpack\n'
         'folder = Path(sys.argv[2]); print(unpack(download_release("mmcv", sys.argv[1], folder), folder))')


def fetch(version, releases, target):
    """In a process of its own, as pip's code is not meant to be imported beside others."""
    settings = {'PYTHONPATH': str(HELPERS), 'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': str(releases), 'PATH': '/usr/bin'}
    return subprocess.run([sys.executable, '-c', FETCH, version, str(target)], capture_output=True, text=True,
                          env=settings)


def test_found_and_unpacked_without_running_it(tmp_path):
    releases, target = tmp_path / 'releases', tmp_path / 'target'
    releases.mkdir()
    target.mkdir()
    with tarfile.open(releases / 'mmcv-2.1.0.tar.gz', 'w:gz') as archive:
        for name, content in (('setup.py', b'raise SystemExit("run")'), ('mmcv/version.py', b'')):
            entry = tarfile.TarInfo(f'mmcv-2.1.0/{name}')
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    ended = fetch('2.1.0', releases, target)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == str(target / 'mmcv-2.1.0')
    assert (target / 'mmcv-2.1.0/mmcv/version.py').exists()

    ended = fetch('2.2.0', releases, target)
    assert ended.returncode == 1 and 'mmcv==2.2.0 was not found' in ended.stderr
    assert 'mmcv-2.2.0.tar.gz in a folder that PIP_FIND_LINKS names' in ended.stderr
