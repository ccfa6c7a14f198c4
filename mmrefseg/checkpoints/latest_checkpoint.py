"""Which checkpoint in a run's folder its training goes on from."""
from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from os.path import isfile
from pathlib import Path, PureWindowsPath

from mmrefseg.errors import InputError, MissingInputError, UserError

from .loading import find_weights
from .module_weights import first_not_finite, is_finite, tensors_in
from .reading import load_from_local

_NOTE = 'last_checkpoint'
_LONGEST_NOTE = 1 << 16
_OF_A_RUN = re.compile(r'(best_.+_)?(epoch|iter)_[0-9]+\.pth')


def own_file(noted: object, folder: str | Path) -> Path | None:
    """The file of a folder that a note of a run names, wherever the folder was when the note was written.

    Args:
        noted: what the note holds: a file's name or path, of which only the name counts.
        folder: the run's folder.

    Returns:
        A path in the folder; None where the note names no file, or one that isn't there.
    """
    # Windows' rules know both kinds of slashes.
    name = PureWindowsPath(noted.strip()).name if isinstance(noted, str) else ''
    if not name or name == '..':
        return None
    path = Path(folder, name)
    return path if isfile(path) else None  # of any name, however long


def _read_note(work_dir: str | Path) -> str:
    path = Path(work_dir, _NOTE)
    if not path.is_file():
        return ''
    with path.open('rb') as file:
        return file.read(_LONGEST_NOTE).decode('utf-8', 'replace').strip()


def noted_checkpoint(work_dir: str | Path, folder: str | Path | None = None) -> Path | None:
    """The checkpoint that a run noted as its last.

    Args:
        work_dir: the run's work folder, which has the note.
        folder: where its checkpoints are. Default None: the work folder.

    Returns:
        Its path; None where there is no note, or no such file.
    """
    return own_file(_read_note(work_dir), folder or work_dir)


def checkpoints_in(folder: str | Path, template: str | None = None) -> list[str]:
    """Names of the checkpoints that a training left in a folder.

    Args:
        folder: where its checkpoints would be; need not be there.
        template: their name, ``{}`` standing for the step. Default None: MMEngine's names.
    """
    return sorted(path.name for path in (Path(folder).iterdir() if Path(folder).is_dir() else ())
                  if _OF_A_RUN.fullmatch(path.name) or (template and _step(path, template) is not None))


def refuse_another_run(work_dir: str | Path, found: Sequence[str]) -> None:
    """Refuse to begin a run in a folder that holds another one's files.

    Args:
        work_dir: its folder.
        found: names of those files; none, and it may begin.

    Raises:
        InputError: there are some; names a few.
    """
    if found:
        raise InputError(f'{work_dir} holds {", ".join(found[:3])} of another run, which would be lost: name another '
                         '--work-dir, or go on with it by --resume')


def missing_parts(checkpoint: Mapping, parts: Collection[str]) -> list[str]:
    """What a checkpoint lacks in order to be resumed.

    Args:
        checkpoint: what the file holds.
        parts: keys that it must have; each value must be a filled dict or list.
    """
    return [part for part in parts if not isinstance(checkpoint.get(part), dict | list) or not checkpoint[part]]


def _step(path: Path, template: str) -> int | None:
    match = re.fullmatch(re.escape(template).replace(re.escape('{}'), '([0-9]{1,18})'), path.name)
    return int(match[1]) if match else None


def latest_whole_checkpoint(work_dir: str | Path, folder: str | Path, template: str, parts: Collection[str],
                            warn: Callable[[str], None], parameters: Collection[str] = ()) -> Path | None:
    """The checkpoint that a run noted as its last, or where that isn't whole and finite the latest before it that is.

    Args:
        work_dir: the run's work folder, which has the note.
        folder: where its checkpoints are.
        template: their name, ``{}`` standing for the step.
        parts: entries that one needs to be whole.
        warn: is called with a sentence on each thing that isn't as it should be.
        parameters: names of the model's parameters. These, averages of them and the state of the optimizer must be
            finite. Default none.

    Returns:
        Its path; None where the folder is that of no run.

    Raises:
        MissingInputError: the folder has a note or best checkpoints, but no checkpoint to go on from.
        InputError: none of its checkpoints is whole and finite.
    """
    folder, noted = Path(folder), _read_note(work_dir)
    steps = {path: step for path in (folder.iterdir() if folder.is_dir() else ())
             if (step := _step(path, template)) is not None and path.is_file()}
    newest_first = sorted(steps, key=steps.get, reverse=True)
    last = own_file(noted, folder)
    # Checkpoints beyond the last one were left by an earlier run.
    bound = _step(Path(folder, PureWindowsPath(noted).name), template)
    if bound is not None:
        newest_first = [path for path in newest_first if steps[path] < bound]
    candidates = newest_first if last is None else [last, *(path for path in newest_first if path != last)]
    if not candidates:
        _refuse_remains(work_dir, folder, noted, sorted(steps, key=steps.get))
        return None
    if last is None:
        warn(f'{Path(work_dir, _NOTE)} ' + (f'names {noted!r}, which is not in {folder}' if noted else
                                            'is missing or empty') + '; the latest whole checkpoint is taken instead')
    refused = []
    for path in candidates:
        reason = _why_not(path, parts, parameters)
        if reason is None:
            return path
        warn(f'{reason}. It is passed over; the checkpoint before it is taken')
        refused.append(reason)
    raise InputError(f'no checkpoint in {folder} can be resumed:\n' + '\n'.join(f'  {reason}' for reason in refused)
                     + '\nName another work folder to start from the beginning, or remove these files.')


def _why_not(path: Path, parts: Collection[str], parameters: Collection[str]) -> str | None:
    """Why a checkpoint cannot be resumed; None where it can."""
    try:
        checkpoint = load_from_local(str(path), map_location='cpu')
    except UserError as error:
        return str(error)
    if missing := missing_parts(checkpoint, parts):
        return f'{path} lacks {", ".join(missing)}'
    spoilt = _first_spoilt(checkpoint, parameters)
    return f'{path} holds NaN or infinity in {spoilt}, as after a training that went wrong' if spoilt else None


def _first_spoilt(checkpoint: Mapping, parameters: Collection[str]) -> str | None:
    for part in ('state_dict', 'ema_state_dict'):
        if part in checkpoint and (name := first_not_finite(find_weights(checkpoint[part]), parameters)):
            return f'{part}: {name}'
    state = tensors_in(checkpoint.get('optimizer'))
    return None if all(is_finite(value) for _, value in state) else "the optimizer's state"


def _refuse_remains(work_dir: str | Path, folder: Path, noted: str, later: Sequence[Path]) -> None:
    if later:
        raise MissingInputError(
            f'{Path(work_dir, _NOTE)} names {noted!r}, which is not in {folder}, and what is there comes behind it: '
            f'{", ".join(path.name for path in later[:3])}. If one of these is what to go on from, name it behind '
            '--resume; to start from the beginning, name another work folder.')
    best = sorted(path.name for path in folder.glob('best_*.pth')) if folder.is_dir() else []
    if noted or best:
        found = f'{Path(work_dir, _NOTE)} names {noted!r}' if noted else f'{folder} holds {", ".join(best)}'
        raise MissingInputError(
            f'{found}, but {folder} has no checkpoint to go on from. Put one there, name one behind --resume, or name '
            'another work folder to start from the beginning.')
