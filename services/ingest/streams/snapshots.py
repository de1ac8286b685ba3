"""Requests for depth snapshots: repeated until one that helps has been seen on the bus."""

from binance_streamer.wire.requests import SnapshotRequest
from services.ingest.streams.gaps import WENT_BACK
from services.runtime.retry import RandomSource, spread_s


class SnapshotRequests:
    """The one outstanding request of a symbol, for the highest id needed: its snapshot serves the others too."""

    def __init__(self, retry_s: float, rng: RandomSource) -> None:
        self._retry_s = retry_s
        self._rng = rng
        self._wanted: SnapshotRequest | None = None
        self._next_s = 0.0

    @property
    def wanted(self) -> SnapshotRequest | None:
        """Return the outstanding request; None where nothing is wanted."""
        return self._wanted

    def request(self, wanted: SnapshotRequest, now_s: float) -> None:
        """Ask at once, unless what is asked for already helps here too."""
        before = self._wanted
        if before is not None and wanted.last_update_id <= before.last_update_id and wanted.reason != WENT_BACK:
            return
        self._wanted = wanted
        self._next_s = now_s

    def on_snapshot(self, last_update_id: int) -> None:
        """Take note that a snapshot with this `lastUpdateId` was on the bus."""
        if self._wanted is not None and last_update_id >= self._wanted.last_update_id:
            self._wanted = None

    def take_due(self, now_s: float) -> SnapshotRequest | None:
        """Return what to ask for now, and note it: it is asked for again after the retry time, with jitter."""
        if self._wanted is None or now_s < self._next_s:
            return None
        self._next_s = now_s + spread_s(self._retry_s, self._rng)
        return self._wanted
