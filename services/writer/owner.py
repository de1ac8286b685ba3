"""Ties a data directory to one recorder: no other one writes into it, unless somebody says so.

A recorder is known by an id that lies with its journals, because the positions in the ledger are about these journals
and no others: with another recorder's ledger, rows would be taken for known that are in no file.
"""

import secrets
from pathlib import Path

from services.runtime.files import replace_file, sync_directory, sync_file
from services.writer.store.errors import BlockedError

ID_NAME = "recorder.id"
"""In the journal directory: the id, and on a second line where that is, for people."""
OWNER_NAME = ".writer.owner"
"""In the data directory: a copy of the id file of the recorder that it belongs to."""


def check_owner(data: Path, journals: Path) -> None:
    """Raise `BlockedError` if the data directory belongs to another recorder; the text says what to do."""
    owner = _first_line(data / OWNER_NAME)
    if owner and owner != _own_id(journals):
        raise BlockedError(
            f"{data} belongs to another recorder (journals: {_last_line(data / OWNER_NAME)}); name another "
            f"output_directory, or if that one is gone for good: cp {journals / ID_NAME} {data / OWNER_NAME}"
        )


def claim(data: Path, journals: Path) -> None:
    """Make the data directory ours, unless it belongs to somebody; the caller holds the directory's lock."""
    check_owner(data, journals)
    if not _first_line(data / OWNER_NAME):
        _own_id(journals)
        _write(data / OWNER_NAME, (journals / ID_NAME).read_bytes())


def _own_id(journals: Path) -> str:
    path = journals / ID_NAME
    if not _first_line(path):
        _write(path, f"{secrets.token_hex(8)}\n{journals.absolute()}\n".encode())
    return _first_line(path)


def _write(path: Path, content: bytes) -> None:
    replace_file(path, content)
    with path.open("rb") as file:
        sync_file(file.fileno(), path)
    sync_directory(path.parent)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "")


def _last_line(path: Path) -> str:
    return next((line for line in reversed(_lines(path)[1:]) if line), "unknown")
