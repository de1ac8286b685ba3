"""Tells who takes a journal over which streams may have missed something that no gap lists yet.

A gap is listed with the row behind it, and of a quiet stream that row may be hours away. Until then only the process
that records knows of it. Where that process is killed and nobody waits, the next one assumes a loss of every stream.
One that has waited does not, where it was connected and the stream was quiet; so it has to be told
(docs/decisions/0073).

It is a file beside the journal. Where there is none, nothing is known, and a gap is listed: so a disk that takes no
file costs no row in silence.
"""

import contextlib
from collections.abc import Set as AbstractSet
from pathlib import Path

import msgspec

from services.runtime.delivery.producer import lock_path
from services.runtime.files import replace_file
from services.runtime.process import Shell

_decode = msgspec.json.Decoder(frozenset[str]).decode


def unlisted_path(shell: Shell, producer: str) -> Path:
    """Return the path of the file, beside the lock of the journal."""
    return lock_path(shell, producer).with_name("unlisted")


class UnlistedLosses:
    """The names of those streams, in a file of the process that records."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: AbstractSet[str] | None = None

    def take_over(self) -> frozenset[str] | None:
        """Return what the one before has noted, None where that is not known; from here on nothing is noted."""
        try:
            return _decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None
        finally:
            self._delete()

    def note(self, names: AbstractSet[str]) -> None:
        """Replace what is noted, before anybody could need it; cheap where nothing has changed."""
        if names == self._noted:
            return
        try:
            replace_file(self._path, msgspec.json.encode(sorted(names)))
        except OSError:
            self._delete()
            self._noted = None
        else:
            self._noted = names

    def _delete(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
