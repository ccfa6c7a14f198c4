"""The one form in which the installation says that it cannot go on."""
import sys
from typing import NoReturn


def exit_with(what: str, expected: str, mend: str) -> NoReturn:
    """Ends the program with one message: what is wrong, what was expected, what mends it."""
    sys.exit(f'install: {what}\n  expected: {expected}\n  mend:     {mend}, then run tools/install.sh again')
