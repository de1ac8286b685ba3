"""The paths of the sockets that a process has bound: a cleaner of temporary files may delete them under it.

Those that are connected go on, and nobody else comes in: for a worker that starts afterwards the writer is gone. A
process that notices it ends, and whoever keeps it running starts it again; that binds anew and loses nothing.
"""

from collections.abc import Iterable
from pathlib import Path

from services.runtime.process import Shell


class BoundPaths:
    """The ipc sockets of these endpoints, as they are now: bound."""

    def __init__(self, shell: Shell, endpoints: Iterable[str]) -> None:
        self._shell = shell
        paths = [Path(one.removeprefix("ipc://")) for one in endpoints if one.startswith("ipc://")]
        self._found = {path: _identity(path) for path in paths}

    def end_if_lost(self) -> None:
        """Request the end of this process where a path is gone, or is another socket's."""
        for path, identity in self._found.items():
            if _identity(path) != identity and not self._shell.stop.requested:
                self._shell.log.error("ending, to bind anew: somebody has deleted the socket path=%s", path)
                self._shell.stop.request()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
