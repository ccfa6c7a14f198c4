"""Ending a tool with a message where its user can mend what is wrong, and with a traceback where only we can."""
from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from mmengine.hooks import Hook

# mmengine's functions that say themselves which class, argument or entry there isn't.
_SELF_EXPLAINING = ('build_from_cfg', 'build_scheduler_from_cfg', '_merge_a_into_b')


class MendableErrors(Hook, AbstractContextManager):
    """Ends a tool with the message alone when a file is missing or a setting is wrong; with an exit status of 1.

    Once a runner that it is registered with has batches to work on, every error keeps its traceback::

        with MendableErrors('train') as errors:
            runner = Runner.from_cfg(cfg)
            runner.register_hook(errors)
            runner.train()

    Args:
        tool (str): name of the tool, which begins the message.
    """

    # Other hooks check data and settings at the same points.
    priority = 'LOWEST'

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.has_batches = False

    def before_train_epoch(self, runner: object) -> None:
        """Batches follow."""
        self.has_batches = True

    def before_test_epoch(self, runner: object) -> None:
        """Batches follow."""
        self.has_batches = True

    def after_test_epoch(self, runner: object, metrics: dict[str, float] | None = None) -> None:
        """The next split is built, or results are written."""
        self.has_batches = False

    def __exit__(self, kind: Any, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Leave with a message, or let the error through."""
        if self.has_batches or error is None or not _says_enough(error):
            return
        message = error.args[0] if isinstance(error, KeyError) else error  # KeyError's own text is in quotes
        sys.exit(f'{self.tool}: {message}')


def _says_enough(error: BaseException) -> bool:
    if isinstance(error, ImportError | OSError | ValueError):
        return True
    traceback = error.__traceback__
    while traceback.tb_next:
        traceback = traceback.tb_next
    return isinstance(error, KeyError | TypeError) and traceback.tb_frame.f_code.co_name in _SELF_EXPLAINING
