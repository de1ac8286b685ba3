"""Judges a worker that waits to go on in place of the one that records its symbol."""

from binance_streamer.wire.statuses import IngestStatus, Status

_PATIENCE_S = 60.0
"""To connect, and to receive the first message of each stream."""


def standby_fault(standby: Status | None) -> str:
    """Return why this worker could not go on now; empty where it could, is young, or says nothing at all."""
    if not isinstance(standby, IngestStatus) or standby.is_warm or standby.up_s <= _PATIENCE_S:
        return ""
    return "it does not receive every stream: should the recording worker end now, there would be a gap"
