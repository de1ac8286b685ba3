"""A worker that waits is well once it receives every stream; a young one, or one that is not heard, is not judged."""

import pytest

from binance_streamer.health.standby import standby_fault
from binance_streamer.wire.statuses import IngestStatus, Status


@pytest.mark.parametrize(
    ("status", "is_faulty"),
    [
        (None, False),
        (Status(up_s=3600.0), False),
        (IngestStatus(up_s=3600.0, is_warm=True), False),
        (IngestStatus(up_s=5.0), False),
        (IngestStatus(up_s=3600.0), True),
    ],
)
def test_a_worker_that_does_not_receive_everything_could_not_go_on(status: Status | None, is_faulty: bool) -> None:
    assert ("would be a gap" in standby_fault(status)) is is_faulty
