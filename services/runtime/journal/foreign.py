"""The journal of another process, as it is on the disk: it is read, made durable, and not changed.

Its owner may go on appending meanwhile. Who reads it knows by a claim (`services/ingest/takeover/claims.py`) that
nothing is added to the streams that it wants.
"""

import os
from collections.abc import Collection
from pathlib import Path

from services.runtime.delivery.recorded_events import RecordedEvents, recorded_events
from services.runtime.files import sync_directory, sync_file
from services.runtime.gaps.last_rows import LastRows
from services.runtime.journal import segments

_TRIES = 3
"""The owner may remove its oldest segments while the journal is read."""


class ForeignJournal:
    """A journal that belongs to another process, or did. One that has been deleted has no rows."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.last_rows: LastRows = {}
        """Where each of its streams stands."""
        for tries_left in reversed(range(_TRIES)):
            try:
                self.last_rows = segments.rows_in(directory)
            except FileNotFoundError:
                if not tries_left:
                    raise
            else:
                break

    def sync(self) -> None:
        """Make all of it durable, so that nobody goes on behind rows that a power cut takes away. OSError is final."""
        for path in self._paths():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                sync_file(descriptor, path)
            finally:
                os.close(descriptor)
        if self._directory.is_dir():
            sync_directory(self._directory)

    def recorded_events(self, names: Collection[str], since_ns: int) -> RecordedEvents:
        """Return what it holds of these streams, received since then; at least their last messages."""
        frames = (segments.frames_in(path) for path in reversed(self._paths()))
        return recorded_events(frames, self.last_rows, names, since_ns)

    def _paths(self) -> list[Path]:
        return sorted(self._directory.glob(f"*{segments.SUFFIX}"))
