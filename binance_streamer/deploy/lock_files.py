"""Lock files of services at which commands and other services look: the writer's, and those of symbols.

A process locks its file as long as it runs (`flock`). The writer says in its own that it has ended, once all that it
took is in the files. One that was killed says nothing: its successor cuts the files back, and writes the rows behind
again.
"""

import fcntl
import os
from pathlib import Path

from binance_streamer.config.symbols import encode_name

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


def claim_path(journal_directory: str | Path, symbol: str, kind: str) -> Path:
    """Return a file of the claim on a symbol: `lock`, `owner`, `next` or `unlisted` (docs/decisions/0087)."""
    return Path(journal_directory) / "symbols" / f"{encode_name(symbol)}.{kind}"


def is_held(path: Path) -> bool | None:
    """Return True while a process holds the lock in a file, False where none does; None where that cannot be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # closing gives it back, in some microseconds
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
