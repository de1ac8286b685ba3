"""A snapshot is asked for until one that helps has been seen."""

from random import Random

from binance_streamer.wire.requests import SnapshotRequest
from services.ingest.streams.snapshots import SnapshotRequests


def test_it_is_asked_for_at_once_and_again_with_jitter() -> None:
    requests = SnapshotRequests(5.0, Random(1))
    requests.request(SnapshotRequest("A", 100, "sequence"), 10.0)
    assert requests.take_due(10.0) == SnapshotRequest("A", 100, "sequence")
    assert requests.take_due(13.9) is None
    assert requests.take_due(16.0) == SnapshotRequest("A", 100, "sequence")


def test_an_older_snapshot_does_not_help() -> None:
    requests = SnapshotRequests(5.0, Random(1))
    requests.request(SnapshotRequest("A", 100, "sequence"), 0.0)
    requests.on_snapshot(99)
    assert requests.wanted == SnapshotRequest("A", 100, "sequence")
    requests.on_snapshot(100)
    assert requests.wanted is None
    assert requests.take_due(100.0) is None


def test_the_highest_need_serves_the_others() -> None:
    requests = SnapshotRequests(5.0, Random(1))
    requests.request(SnapshotRequest("A", 100, "sequence"), 0.0)
    requests.request(SnapshotRequest("A", 90, "sequence"), 1.0)
    assert requests.wanted == SnapshotRequest("A", 100, "sequence")
    requests.request(SnapshotRequest("A", 110, "sequence"), 2.0)
    assert requests.take_due(2.0) == SnapshotRequest("A", 110, "sequence")


def test_where_ids_went_back_the_old_need_is_void() -> None:
    requests = SnapshotRequests(5.0, Random(1))
    requests.request(SnapshotRequest("A", 100, "sequence"), 0.0)
    requests.take_due(0.0)
    requests.request(SnapshotRequest("A", 50, "ids went back"), 1.0)
    assert requests.take_due(1.0) == SnapshotRequest("A", 50, "ids went back")
