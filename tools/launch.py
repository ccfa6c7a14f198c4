"""Start the processes of a run as torch.distributed.run does, without its traceback where one of them fails.

A process that fails has said why itself; of one that was killed this says so.
"""
from __future__ import annotations

import logging
import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

MEMORY = '; the system does so when memory runs out: `mmrefseg cost CONFIG` says how much a training takes'


def killed(error: ChildFailedError) -> list[str]:
    """What to say of the processes that a signal ended, but for those that were asked to end as another one failed.

    Args:
        error: tells how each process ended that failed.
    """
    signals = {rank: signal.Signals(-failure.exitcode) for rank, failure in error.failures.items()
               if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM}
    return [f'launch: process {rank} was ended by {number.name}{MEMORY if number == signal.SIGKILL else ""}'
            for rank, number in signals.items()]


def main() -> int:
    """Run as the command line says; returns the exit status."""
    # It tells of each process that ends.
    logging.getLogger('torch.distributed.elastic.multiprocessing.api').setLevel(logging.CRITICAL)
    try:
        run.main()
    except ChildFailedError as error:
        for line in killed(error):
            print(line, file=sys.stderr)
        return 1
    except SignalException as error:
        return 128 + error.sigval
    return 0


if __name__ == '__main__':
    sys.exit(main())
