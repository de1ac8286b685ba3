"""`python die_with_parent.py COMMAND…`: becomes a command that ends (SIGTERM) when its parent does.

For programs that do not see to it themselves: without it a killed command line would leave its supervisord behind.
Run by its path, so that nothing is imported on the way.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

DIE_WITH_PARENT = Path(__file__)
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the command; the tie survives that."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        sys.exit(0)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
