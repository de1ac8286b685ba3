"""Certificates of a lake in a bucket are found as those of a folder are."""

from pathlib import Path

import pytest

from binance_streamer.days.sources import certificate_path
from services.monitor.reader.certificates import Certificates
from tests.support.s3 import BUCKET, served


def written(lake: Path) -> None:
    for symbol, day in (("BTCUSDT", "20261121"), ("BTCUSDT", "20261122"), ("\u725b\u6765USDT", "20261122")):
        path = lake / certificate_path(symbol, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{symbol} {day}", encoding="utf-8")


DAYS = [("\u725b\u6765USDT", "20261122"), ("BTCUSDT", "20261121"), ("BTCUSDT", "20261122")]


def test_certificates_of_a_folder(tmp_path: Path) -> None:
    written(tmp_path)
    certificates = Certificates(str(tmp_path))
    assert sorted(certificates.days()) == sorted(DAYS)
    assert certificates.text("BTCUSDT", "20261121") == b"BTCUSDT 20261121"
    assert certificates.text("BTCUSDT", "20261120") is None
    assert list(Certificates("").days()) == list(Certificates(str(tmp_path / "nowhere")).days()) == []
    assert Certificates("").text("BTCUSDT", "20261121") is None


def test_certificates_of_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    with served(tmp_path) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        certificates = Certificates(f"s3://{BUCKET}")
        assert sorted(certificates.days()) == sorted(DAYS)
        assert certificates.text("BTCUSDT", "20261121") == b"BTCUSDT 20261121"
        assert certificates.text("BTCUSDT", "20261120") is None
