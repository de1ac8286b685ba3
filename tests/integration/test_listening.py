"""The programs of the documentation that listen and ask, on a real bus and a real order book service."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from binance_streamer.client.books import BookClient, NoAnswerError
from binance_streamer.config import schema as configuration
from tests.support.configs import write_config
from tests.support.data import REPOSITORY
from tests.support.processes import command_line
from tests.support.recorded_days import DayWriter
from tests.support.waiting import eventually


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def pointed(program: str, endpoints: configuration.EndpointsConfig) -> str:
    """The program with a demo's addresses in place of the default ones, and an end."""
    for name, address in (
        ("bus.subscribe", endpoints.bus_subscribe),
        ("orderbook.query", endpoints.orderbook_query),
    ):
        program = re.sub(rf"ipc://(var|recording)/run/{re.escape(name)}", address, program)
    return program.replace("while True:", "for _ in range(5):")


def has_book(endpoint: str) -> bool:
    with BookClient(endpoint) as client:
        try:
            return client.ask("BTCUSDT", 1).valid
        except NoAnswerError:
            return False


def test_programs_of_the_documentation_hear_trades_and_get_a_book(place: Path) -> None:
    found = [text for page in ("README.md", "docs/wire.md") for text in programs(page) if "zmq" in text]
    assert len(found) == 3
    with command_line("demo", "--symbols", "1", "--data-dir", place / "out", output=place / "out.txt") as demo:
        eventually(lambda: re.search(r" [1-9]\d* rows,", demo.text()), 60, what="rows are recorded")
        endpoints = configuration.load(place / "out" / "streamer.yaml").endpoints
        eventually(lambda: has_book(endpoints.orderbook_query), 60, what="the book is valid")
        for program in found:
            done = subprocess.run(
                [sys.executable, "-c", pointed(program, endpoints)],
                check=False,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stderr
            if "orderbook" in program:
                assert re.fullmatch(r"True \d+ \['[\d.]+', '[\d.]+'\] \['[\d.]+', '[\d.]+'\]\n", done.stdout)
            else:
                assert re.fullmatch(r"(\d{19} [\d.]+\n){5}", done.stdout)


def test_a_history_that_is_ended_leaves_no_folder_behind(place: Path) -> None:
    """By SIGTERM, while it waits for live messages: it has printed its heading, and has its folder by then.

    A folder is not its own yet while it is being made: a signal in that millisecond leaves it behind, still empty.
    """
    DayWriter().write(place / "data")
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    kept = place / "tmp"
    kept.mkdir()
    words: list[str | Path] = ["tap", "aggtrade.BTCUSDT.", "--from", "2026-11-22T00:00:00", "-c", config]
    with command_line(*words, output=place / "tap.out", environment={"TMPDIR": str(kept)}) as tap:
        eventually(tap.text, what="it has printed its heading")
        assert [*kept.glob("binance-streamer-history-*")], tap.text()
        assert tap.stop() == 128 + signal.SIGTERM, tap.text()
    assert not [*kept.glob("binance-streamer-history-*")]
