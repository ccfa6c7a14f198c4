"""Errors that a user can mend. Tools print their message alone; any other exception is a bug and keeps its traceback.

A message says what is wrong, what was expected and how to mend it. Each class is also one of Python's own, so that code
that catches ``ValueError`` or ``FileNotFoundError`` keeps working.
"""


class UserError(Exception):
    """Something that a user can mend: a file, a setting, a command line."""


class InputError(UserError, ValueError):
    """A file or a setting doesn't hold what it should."""


class InputTypeError(UserError, TypeError):
    """A value is of a type that isn't taken."""


class MissingInputError(UserError, FileNotFoundError):
    """A file or folder isn't there."""


class FileError(UserError, OSError):
    """A file cannot be read or written."""


class MissingPackageError(UserError, ImportError):
    """An optional package isn't installed."""
