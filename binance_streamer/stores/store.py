"""The place that a lake's files lie in: a folder, or a bucket of S3 or what speaks like it. `Lake` uses nothing else.

In: files that were written in a local folder, the `workplace`. Out: files with names below the lake
(`depth/symbol=BTCUSDT/day=2026-11-22/….parquet`), each there as a whole or not at all, at every moment of a kill.

| | a folder | a bucket |
|---|---|---|
| a file is put | made durable, renamed, its folder made durable | uploaded beside, read back, copied to its name |
| a kill in between leaves | nothing, or the file in the workplace | an upload that S3 hides, or a file in `.sealing/` |
| a fault | `OSError` of the disk | `OSError`, after three tries |

A bucket is asked with the environment variables and profiles that AWS's own tools take, never with settings of ours:
`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    import pyarrow as pa  # a folder does without it

WORKPLACE = ".sealing"
"""The folder for what is being written, of a lake or a data folder, and of a bucket; no reader looks into it."""
PIECE_BYTES = 4 * 2**20
"""Read or sent at once; the time of one of them passes between two calls that say how far it is."""


def no_progress() -> None:
    """Do nothing: for callers that do not want to know how far it is."""


class BucketError(OSError):
    """A bucket, or the way to it, that did not give what was asked for."""


class Store(Protocol):
    """Files by their names below a lake. All methods raise `OSError`; `FileNotFoundError` where a name is not there."""

    @property
    def uri(self) -> str:
        """Return the lake's path or URL: what stands in front of `/` and a name."""

    @property
    def options(self) -> dict[str, str] | None:
        """Return the options for the library that keeps the log."""

    @property
    def workplace(self) -> Path:
        """Return the local folder for files that are being written."""

    def begin(self) -> None:
        """Make the place usable, and remove what an earlier run left half written."""

    def put(self, written: Path, name: str, *, progressed: Callable[[], None] = no_progress) -> None:
        """Give a written file of the workplace its name, durably and in one step; `written` is gone then."""

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a small file."""

    def open(self, name: str) -> "BinaryIO | pa.NativeFile":
        """Open a file for reading."""

    def local(self, name: str) -> Path:
        """Return a path on this machine that holds the file, until the next call."""

    def size(self, name: str) -> int:
        """Return the bytes of a file."""

    def exists(self, name: str) -> bool:
        """Return True if there is a file of this name."""

    def names(self, folder: str) -> list[str]:
        """Return the names directly below a folder, in order; none where it is not there."""

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""


def sha256_of(file: "BinaryIO | pa.NativeFile", progressed: Callable[[], None]) -> str:
    """Return the SHA-256 of an open file, and close it. `progressed` is called every 4 MiB; it may raise to give up."""
    digest = hashlib.sha256()
    with file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            progressed()
    return digest.hexdigest()


def copy_to(target: Path, file: "BinaryIO | pa.NativeFile") -> None:
    """Write the content of an open file to a path of this machine, and close it."""
    with file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy, PIECE_BYTES)


def make_empty(folder: Path) -> None:
    """Make a folder that is there and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
