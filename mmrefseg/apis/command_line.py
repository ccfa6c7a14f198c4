"""The one manner of all command-line tools: a message for what their user can mend, a traceback for bugs."""
from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import walk_tb
from typing import Any

from mmrefseg.errors import UserError
from mmrefseg.utils.files import refuse_overwriting
from mmrefseg.utils.launched_processes import has_any_told, is_first_to_tell

# MMEngine's functions that say themselves which class, argument or entry of a config there isn't.
_SELF_EXPLAINING = ('build_from_cfg', 'build_scheduler_from_cfg', '_merge_a_into_b')


def run(parser: ArgumentParser, command: Callable[[Namespace], int | None], interrupted: str = 'interrupted') -> None:
    """Run a tool as its command line says, and end it with the right exit status.

    A file of the option or argument ``out`` that is also one of the other arguments is refused before the work begins.
    A :class:`UserError` ends it with its message alone and status 1, Ctrl-C with status 130; every other exception is
    a bug and keeps its traceback. The option ``--debug``, which is added, shows both. The log file of a run, where
    there is one, always gets the traceback.

    Args:
        parser: the tool's arguments; its name begins the messages.
        command: does the work and returns the exit status, None for 0.
        interrupted: what to say after Ctrl-C. Default ``'interrupted'``.
    """
    parser.add_argument('--debug', action='store_true', help='show where in the code an error arose, too')
    args = parser.parse_args()
    tool = Path(parser.prog).stem
    try:
        _refuse_lost_inputs(args)
        status = command(args)
    except KeyboardInterrupt:
        print(f'\n{tool}: {interrupted}', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        _write_to_log_files(error)
        if not args.debug and isinstance(error, RuntimeError) and has_any_told():
            sys.exit(1)  # it lost the connection to a process that said why it ended
        if args.debug or not _is_user_error(error):
            raise
        message = f'{tool}: {_message(error)}'
        sys.exit(message if is_first_to_tell(message) else 1)
    if status is not None:
        sys.exit(status)


def _refuse_lost_inputs(args: Namespace) -> None:
    """Refuse an output that would replace one of the files that are named as inputs."""
    values = dict(vars(args))
    if isinstance(out := values.pop('out', None), str | Path):
        refuse_overwriting(out, _paths_in(list(values.values())))


def _paths_in(value: Any) -> Iterator[str | Path]:
    if isinstance(value, str | Path):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _paths_in(part)


def _is_user_error(error: Exception) -> bool:
    if isinstance(error, UserError):
        return True
    *_, (innermost, _) = walk_tb(error.__traceback__)
    return isinstance(error, KeyError | TypeError) and innermost.f_code.co_name in _SELF_EXPLAINING


def _message(error: Exception) -> str:
    if isinstance(error, KeyError):
        return str(error.args[0])  # its own text is in quotes
    # From a data loader's worker an error comes with that process's traceback before its own text.
    kind = type(error)
    return str(error).rpartition(f'{kind.__module__}.{kind.__qualname__}: ')[2].strip()


def _write_to_log_files(error: Exception) -> None:
    if 'mmengine.logging' not in sys.modules:  # no log was opened; perhaps it isn't installed
        return
    logger = sys.modules['mmengine.logging'].MMLogger.get_current_instance()
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, 'The run ends with an error.', (),
                               (type(error), error, error.__traceback__))
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.emit(record)
