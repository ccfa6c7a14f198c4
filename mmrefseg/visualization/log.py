"""Reading what a training wrote down."""
from __future__ import annotations

import json
from pathlib import Path

from mmrefseg.errors import InputError, MissingInputError
from mmrefseg.utils.files import MAX_JSON_BYTES, read_regular

Log = dict[int, dict[str, float]]


def find_runs(work_dir: str | Path) -> list[Path]:
    """Find the trainings in a work dir.

    Args:
        work_dir: where mmengine's ``LocalVisBackend`` wrote ``<time>/vis_data/scalars.json``.

    Returns:
        ``<time>/vis_data`` of every run that logged a loss, oldest first; at least one.

    Raises:
        MissingInputError: nothing was trained there.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    runs = [file.parent for file in files if '"loss":' in file.read_text()]
    if not runs:
        raise MissingInputError(f'{work_dir} has no <time>/vis_data/scalars.json with a loss in it: it must be the '
                                'work dir of a training that went on for as long as its logging interval at least')
    return runs


def read_log(work_dir: str | Path) -> Log:
    """Read the scalars of the last training in a work dir, and of those that it resumed.

    Args:
        work_dir: see :func:`find_runs`.

    Returns:
        Iteration → scalars by name, in order. Iterations that were done twice, before and after a training was resumed,
        count as they went the second time.

    Raises:
        MissingInputError: nothing was trained there.
        InputError: a line of the log is damaged.
    """
    log: Log = {}
    for folder in find_runs(work_dir):
        run = _read_run(folder / 'scalars.json')
        log = {step: scalars for step, scalars in log.items() if step < min(run)} | run
    return log


def _read_run(file: Path) -> Log:
    run: Log = {}
    for number, line in enumerate(read_regular(file, MAX_JSON_BYTES).splitlines(), 1):
        try:
            scalars = json.loads(line)
            run.setdefault(scalars.pop('step'), {}).update(scalars)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"line {number} of {file} is not a JSON object with a 'step': {error!r}") from error
    return dict(sorted(run.items()))
