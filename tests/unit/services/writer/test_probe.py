"""Without a kernel nothing fails, and `doctor` says how to get one."""

import pytest

from binance_streamer.wire.statuses import COMPILED
from services.writer import kernel
from services.writer.probe import check


@pytest.mark.parametrize(
    ("state", "found", "has_advice"),
    [
        (COMPILED, "in use", False),
        (kernel.NOT_BUILT, "not built, rows are made in Python", True),
        ("not used, because BINANCE_STREAMER_PURE is set", "not used, because BINANCE_STREAMER_PURE is set", False),
    ],
)
def test_a_kernel_is_nothing_that_can_fail(state: str, found: str, has_advice: bool) -> None:
    said = check(state)
    assert (said.what, said.state, said.found) == ("compiled kernel", "ok", found)
    assert ("-m services.writer.kernel.build" in said.advice) == has_advice
