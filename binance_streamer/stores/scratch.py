"""Folders for temporary files that are gone however a command ends, as long as it ends itself.

`tempfile` makes a folder first, and notes then that it is to be removed. A signal in between leaves it behind.
"""

import secrets
import shutil
import tempfile
import weakref
from pathlib import Path
from types import TracebackType


class ScratchFolder:
    """A new empty folder, removed by `close`, at the end of a `with` block, or with the process."""

    def __init__(self, prefix: str, within: Path | None = None) -> None:
        """`within` is the folder to make it in, by default that of the system for temporary files."""
        self.path = (within or Path(tempfile.gettempdir())) / f"{prefix}{secrets.token_urlsafe(6)}"
        self._remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
        try:
            self.path.mkdir(mode=0o700)
        except OSError:
            self._remove.detach()  # whatever lies there is not ours
            raise

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        self._remove()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
