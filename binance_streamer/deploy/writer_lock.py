"""The lock file of a data folder: whether a writer has the folder, and whether the last one has left nothing to come.

The writer locks the file as long as it runs (`flock`), and says in it that it has ended, once all that it took is in
the files. A writer that was killed says nothing: its successor cuts the files back, and writes the rows behind again.
"""

import fcntl
import os
from pathlib import Path

WRITER_LOCK = ".writer.lock"
"""In the data folder."""
_ENDED = "ended"


def ended_text(at_ns: int) -> str:
    """Return what a writer leaves in the file that ended then, with everything in the files."""
    return f"{_ENDED} {at_ns}"


def ended_ns(data: Path) -> int | None:
    """Return when the last writer of a folder ended in order; None where one runs, or it was killed."""
    try:
        word, _, stamp = (data / WRITER_LOCK).read_text(encoding="utf-8").strip().partition(" ")
        return int(stamp) if word == _ENDED else None
    except (OSError, ValueError):
        return None


def is_locked(data: Path) -> bool:
    """Return True while a writer has the folder, and where that cannot be told; False where none ever had it."""
    try:
        descriptor = os.open(data / WRITER_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # closing gives it back, in some microseconds
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
