"""What `doctor` finds, against the simulator: real processes, real sockets."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.wire.check_lines import Check, read_checks
from services.rest import state
from services.rest.market.exchange_info import Listing
from services.rest.schedule.pacing import SavedPace
from tests.support.configs import write_config
from tests.support.data import REPOSITORY
from tests.support.processes import Simulator


@pytest.fixture
def simulator(place: Path) -> Iterator[Simulator]:
    with Simulator(place, "--symbols", "BTCUSDT,龙虾USDT", "--rate", "200", "--clock-offset-ms", "3000") as found:
        yield found


def configured(place: Path, simulator: Simulator, streams: list[str], **network: Any) -> Path:
    return write_config(place, {"BTCUSDT": streams, "龙虾USDT": ["aggTrade"]}, {**simulator.urls, **network})


def doctor(config: Path, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and (state, what was found) by what was looked at."""
    command = [sys.executable, "-m", "binance_streamer", "doctor", "--json", "-c", str(config), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=REPOSITORY)
    assert done.stdout, done.stderr
    return done.returncode, {check["what"]: (check["state"], check["found"]) for check in json.loads(done.stdout)}


def number_in(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])


def test_everything_is_looked_at_and_a_clock_that_is_off_is_told(place: Path, simulator: Simulator) -> None:
    config = configured(place, simulator, ["aggTrade", "depth@0ms"])
    code, found = doctor(config, "--seconds", "20")
    url = simulator.urls["websocket_url"]
    assert code == 0, found
    assert {what: how for what, (how, _) in found.items() if how != "ok"} == {"clock": "warn"}
    assert found["supervisord"] == ("ok", "does not run")
    assert {"data", "journals", "open files", "request weight", f"{url}/public", f"{url}/market"} <= found.keys()
    offset_ms = number_in(found["clock"][1], r"the exchange's is ([\d.]+) ms ahead of ours")
    round_trip_ms = number_in(found[simulator.urls["rest_url"]][1], r"answers in (\d+) ms")
    assert abs(offset_ms - 3000) <= round_trip_ms / 2 + 2  # both were rounded
    assert "first message" in found["龙虾usdt@aggTrade"][1]
    assert found["symbols"] == ("ok", "the exchange lists all 2")
    assert simulator.stats()["rest"] == {"200": 2}
    assert len((place / "run" / "connect.attempts").read_text().splitlines()) == 2


def test_what_fails_is_said_and_the_exchange_is_left_alone_where_it_wants_that(
    place: Path, simulator: Simulator
) -> None:
    config = configured(place, simulator, ["aggTrade", "depth@0ms", "forceOrder"], connect_attempts=3)
    for stream in ("depth@0ms", "forceOrder"):
        simulator.command(f"silent btcusdt@{stream}")
    simulator.command("rest 403 1")
    code, found = doctor(config, "--seconds", "4")
    assert code == 1
    assert found[simulator.urls["rest_url"]][0] == "fail"
    assert found["btcusdt@depth@0ms"] == ("fail", "no message in 4 s")
    assert found["btcusdt@forceOrder"][0] == "warn"
    assert found["btcusdt@aggTrade"][0] == "ok"

    pace = SavedPace(stand_down_s=500, sent=[], reported=[])
    state.save(place / "run" / "rest.json", state.RestState(pace, {}), time.time_ns())
    code, found = doctor(config, "--seconds", "4")
    assert code == 1
    assert "nothing was sent" in found[simulator.urls["rest_url"]][1]
    assert "not tried" in found[f"{simulator.urls['websocket_url']}/public"][1]
    assert simulator.stats()["rest"] == {"403": 1}


def test_a_symbol_that_the_exchange_does_not_list_fails_with_the_nearest_names(
    place: Path, simulator: Simulator
) -> None:
    config = write_config(place, {"BTCUSDT": ["aggTrade"], "BTCUSDTT": ["aggTrade"]}, simulator.urls)
    command = [sys.executable, "-m", "services.rest.probe", "--symbols", "-c", str(config)]

    def found() -> list[Check]:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=REPOSITORY)
        return read_checks(done.stdout)

    unlisted = Check(
        "symbol BTCUSDTT",
        "fail",
        "the exchange does not list it",
        "nearest names: BTCUSDT; correct or remove it in the YAML",
    )
    assert found() == [unlisted]
    assert doctor(config, "--seconds", "0.2")[0] == 1
    simulator.command("rest 503 1")
    (unknown,) = found()
    assert (unknown.what, unknown.state) == ("symbols", "warn")
    assert "503" in unknown.found
    assert simulator.stats()["rest"] == {"200": 3, "503": 1}


def test_symbols_of_the_list_that_was_recorded_last_are_not_asked_for(place: Path, simulator: Simulator) -> None:
    config = configured(place, simulator, ["aggTrade"])
    (place / "run").mkdir(mode=0o700)
    listed = Listing({"BTCUSDT": b"{}", "龙虾USDT": b"{}"}, {})
    (place / "run" / "rest-exchange-info.json").write_bytes(listed.saved())
    command = [sys.executable, "-m", "services.rest.probe", "--symbols", "-c", str(config)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd=REPOSITORY)
    assert read_checks(done.stdout) == [Check("symbols", "ok", "the exchange lists all 2")]
    assert simulator.stats()["rest"] == {}
