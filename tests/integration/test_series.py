"""Polled series with real processes: a kill, an hour that REST was not asked, and a symbol that is not served."""

from pathlib import Path
from typing import Any

import zmq

from binance_streamer.config.schema import load
from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.frames import decode_frame
from simulator.rest.series import bucket
from tests.support.configs import write_config
from tests.support.processes import Simulator, service
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

ENDPOINT = "/futures/data/globalLongShortAccountRatio"
STREAMS = ["aggTrade", "openInterest@1s", "longShortRatio@5m", "topLongShortAccountRatio@5m", "fundingInfo"]


def rows(place: Path, stem: str) -> list[dict[str, str]]:
    """The rows of all days of a series."""
    return recorded_rows(place / "data", "BTCUSDT", stem)


def refused(config: Path, seen: dict[str, Any]) -> bool:
    """Take the newest status of `rest` off the bus; True once it says of a series that it is refused."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sub = bus_sub(context, load(config).endpoints.bus_subscribe, b"status.rest.")
    if sub.poll(3000):
        seen.update(decode_frame(sub.recv_multipart()[1])[1])
    sub.close(linger=0)
    context.term()
    return bool(seen.get("refused_series"))


def test_an_hour_in_which_nobody_asked_is_fetched_bucket_by_bucket_after_a_kill(place: Path) -> None:
    with Simulator(place, "--symbols", "BTCUSDT", "--rate", "10") as simulator:
        simulator.command("unserved topLongShortAccountRatio BTCUSDT")
        config = write_config(place, {"BTCUSDT": STREAMS}, {**simulator.urls, "clock_interval": 1})
        with (
            service("bus", config, output=place / "bus.out"),
            service("writer", config, output=place / "writer.out"),
        ):
            with service("rest", config, output=place / "rest.out") as rest:
                eventually(lambda: rows(place, "longshortratio_5m"), what="the first buckets are recorded")
                eventually(lambda: len(rows(place, "openinterest")) > 2, what="open interest is polled")
                status: dict[str, Any] = {}
                eventually(lambda: refused(config, status), what="the status names the series that is refused")
                assert status["refused_series"] == {"BTCUSDT topLongShortAccountRatio@5m": "-1121 Invalid symbol."}
                rest.kill()
            before = len(rows(place, "longshortratio_5m"))
            simulator.command("clock 3600000")
            with service("rest", config, output=place / "rest.out") as rest:
                eventually(lambda: len(rows(place, "longshortratio_5m")) >= before + 12, what="the hour is fetched")
                assert rest.stop() == 0
            times = [int(row["time"]) for row in rows(place, "longshortratio_5m")]
            assert times == list(range(times[0], times[-1] + 1, 300_000)), "each bucket once"
            for row in rows(place, "longshortratio_5m"):
                truth = bucket(ENDPOINT, "BTCUSDT", int(row["time"]))
                assert row["long_short_ratio"] == truth["longShortRatio"]
                assert row["source"] == "rest"
            assert [row["funding_interval_hours"] for row in rows(place, "fundinginfo")] == ["8"], "once: no change"
            assert not rows(place, "toplongshortaccountratio_5m")
            gaps = {(row["stream"].partition("?")[0], row["state"]) for row in rows(place, "gap")}
            assert gaps <= {("/fapi/v1/openInterest", "unrepairable")}
