"""What a checkpoint says of files. A run that resumes takes over what is true of its own folder only."""
from __future__ import annotations

import re
from numbers import Real
from pathlib import Path
from typing import Any

from torch import Tensor

from mmrefseg.checkpoints.latest_checkpoint import own_file


def regular_file(path: str | Path) -> bool:
    """Whether there is a file itself, not a link to one.

    Args:
        path: where it may be.
    """
    return Path(path).is_file() and not Path(path).is_symlink()


def keep_own_notes(message_hub: dict[str, dict], folder: str | Path, template: str, step: int, is_own: bool) -> list:
    """Reduce the notes on files in a checkpoint's state of the message hub, in place.

    Names count within the run's folder, which may have been copied or moved. What isn't the name of a checkpoint that
    is there, or a step that was saved, goes.

    Args:
        message_hub: the state: ``runtime_info`` has the notes, ``resumed_keys`` their names.
        folder: the folder of the run that resumes.
        template: names of its checkpoints, ``{}`` standing for the step.
        step: the checkpoint's.
        is_own: whether the checkpoint lies in this folder. Those of others aren't this run's to remove.

    Returns:
        Best checkpoints that were noted, but aren't in this folder.
    """
    info, elsewhere = message_hub['runtime_info'], []
    best = re.compile('best_.+_' + re.escape(template).replace(re.escape('{}'), '[0-9]+'))

    def keep(key: str, value: Any) -> None:
        if value is None:
            del info[key]
            message_hub['resumed_keys'].pop(key, None)
        else:
            info[key] = value

    for key, value in list(info.items()):
        if key.startswith('best_ckpt'):
            path = own_file(value, folder) if is_own else None
            is_best = path is not None and regular_file(path) and best.fullmatch(path.name)
            if not is_best and isinstance(value, str):
                elsewhere.append(value)
            keep(key, str(path) if is_best else None)
        elif key == 'last_ckpt':
            path = own_file(value, folder) if is_own else None
            keep(key, path and str(path))
        elif key == 'keep_ckpt_ids':
            steps = value if is_own and isinstance(value, list | tuple) else ()
            keep(key, [saved for saved in steps if type(saved) is int and 0 <= saved <= step])
        elif key.startswith('best_score'):
            keep(key, value if _is_number(value) else None)
    return elsewhere


def _is_number(value: Any) -> bool:
    is_scalar = isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)
    return is_scalar and bool(value == value)  # NaN isn't
