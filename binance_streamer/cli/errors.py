"""Exit codes, and the error that ends a command with one of them."""

import errno
from enum import IntEnum

NO_ROOM_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Of an output that is a file on a full disk."""


class Exit(IntEnum):
    """Exit codes, beside 2 for a wrong command line too, and 130 for a command that Ctrl-C cut short."""

    OK = 0
    INCOMPLETE = 1
    """Something that was received is not in the files, or a process does not run as asked."""
    NOT_CHECKED = 2
    """Of `verify`: nothing wrong was found, and something could not be checked."""
    UNAVAILABLE = 69
    """EX_UNAVAILABLE: no supervisord to talk to, or one that is in the way."""
    CONFIG = 78
    """EX_CONFIG: the configuration is not valid, or files made from it are out of date."""


class CommandError(Exception):
    """Ends the command with its text on stderr, and the process with its code.

    The text says what was expected and what to do next; commands in it stand in backticks, see `hints`.
    """

    def __init__(self, message: str, code: Exit = Exit.UNAVAILABLE) -> None:
        super().__init__(message)
        self.code = code
