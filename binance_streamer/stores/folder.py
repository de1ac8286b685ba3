"""A lake in a folder of this machine: files get their names by renaming."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from binance_streamer.stores.store import WORKPLACE, make_empty, no_progress


class FolderStore:
    """A folder of this machine; its workplace is within it, and so on the same disk."""

    options = None

    def __init__(self, root: Path) -> None:
        self._root = root
        self.uri = str(root)

    @property
    def workplace(self) -> Path:
        """The folder for files that are being written."""
        return self._root / WORKPLACE

    def begin(self) -> None:
        """Make the folder, and an empty workplace."""
        make_empty(self.workplace)

    def put(self, written: Path, name: str, *, progressed: Callable[[], None] = no_progress) -> None:
        """Make the file durable, rename it, and make the names of all folders down to it durable."""
        del progressed
        path = self._root / name
        sync(written)
        path.parent.mkdir(parents=True, exist_ok=True)
        written.replace(path)
        for folder in path.parents:
            sync(folder)
            if folder == self._root:
                return

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self._root / name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading."""
        return (self._root / name).open("rb")

    def local(self, name: str) -> Path:
        """Return the path of the file itself."""
        return self._root / name

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return (self._root / name).stat().st_size

    def exists(self, name: str) -> bool:
        """Return True if there is a file of this name."""
        return (self._root / name).is_file()

    def names(self, folder: str) -> list[str]:
        """Return the names directly below a folder, in order."""
        path = self._root / folder
        return sorted(one.name for one in path.iterdir()) if path.is_dir() else []

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self._root / name).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
