import socket
import time
from pathlib import Path

import pytest

from binance_streamer.cli.commands.status import duration, gaps_text, status
from binance_streamer.cli.errors import CommandError
from binance_streamer.client.tap import Tap
from binance_streamer.health.gaps import GapTotals
from tests.support.configs import write_config


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (42, "42 s"), (3599, "0:59:59"), (90_000, "1 d 1:00"), (99.9, "100 s")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_gaps_are_told_by_what_became_of_them() -> None:
    assert gaps_text(GapTotals()) == "0"
    assert (
        gaps_text(GapTotals(listed=6, unrepairable=1, open=2, repaired=3)) == "6 (1 unrepairable, 2 open, 3 repaired)"
    )


def test_where_nothing_runs_nobody_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(Tap, "receive", lambda _, timeout_s: waited.append(timeout_s))
    path = write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {})
    with pytest.raises(CommandError, match="no supervisord answers"):
        status(config=path)
    assert waited == []


def test_a_bus_without_a_supervisord_is_listened_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def nothing(_: Tap, timeout_s: float) -> None:
        waited.append(timeout_s)
        time.sleep(timeout_s)

    monkeypatch.setattr(Tap, "receive", nothing)
    path = write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {})
    (tmp_path / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run" / "bus.subscribe"))
        listener.listen()
        with pytest.raises(CommandError):
            status(config=path)
    assert waited
