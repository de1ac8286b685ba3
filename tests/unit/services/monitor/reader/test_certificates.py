"""Certificates of a lake in a bucket are found as those of a folder are."""

from pathlib import Path

import pytest

from binance_streamer.days.sources import certificate_path
from services.monitor.reader.certificates import certificate_text, certified_days
from tests.support.s3 import BUCKET, served


def written(lake: Path) -> None:
    for symbol, day in (("BTCUSDT", "20261121"), ("BTCUSDT", "20261122"), ("\u725b\u6765USDT", "20261122")):
        path = lake / certificate_path(symbol, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{symbol} {day}", encoding="utf-8")


DAYS = [("\u725b\u6765USDT", "20261122"), ("BTCUSDT", "20261121"), ("BTCUSDT", "20261122")]


def test_certificates_of_a_folder(tmp_path: Path) -> None:
    written(tmp_path)
    assert sorted(certified_days(str(tmp_path))) == sorted(DAYS)
    assert certificate_text(str(tmp_path), "BTCUSDT", "20261121") == b"BTCUSDT 20261121"
    assert certificate_text(str(tmp_path), "BTCUSDT", "20261120") is None
    assert list(certified_days("")) == list(certified_days(str(tmp_path / "nowhere"))) == []
    assert certificate_text("", "BTCUSDT", "20261121") is None


def test_certificates_of_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    with served(tmp_path) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        lake = f"s3://{BUCKET}"
        assert sorted(certified_days(lake)) == sorted(DAYS)
        assert certificate_text(lake, "BTCUSDT", "20261121") == b"BTCUSDT 20261121"
        assert certificate_text(lake, "BTCUSDT", "20261120") is None
