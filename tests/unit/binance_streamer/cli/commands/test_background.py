"""`start --wait` says what it waits for."""

from pathlib import Path

import pytest

from binance_streamer.cli.commands import background
from binance_streamer.client.tap import Tap, Tapped
from binance_streamer.config.schema import load
from binance_streamer.wire.frames import Topic
from tests.support.configs import write_config


def test_what_is_missing_is_said_while_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = Tapped(Topic("status", "bus", ""), "status", {"producer": "bus", "epoch": 1, "recv_ns": 1})
    monkeypatch.setattr(Tap, "receive", lambda *_: bus)
    monkeypatch.setattr(background, "_RECORDING_S", 0.5)
    monkeypatch.setattr(background, "_TELL_S", 0.0)
    config = load(write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {}))
    missing = background._await_recording(config)
    assert missing == [
        "writer, rest, orderbook and 1 more: no status: it does not run, or does not reach the bus",
    ]
    assert capsys.readouterr().out.splitlines() == [f"waiting for {missing[0]}"]
