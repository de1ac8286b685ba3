import pytest

from binance_streamer.config.schema import MonitorConfig
from services.monitor.http.hosts import AllowedHosts

LOOPBACK = ("localhost", "LocalHost:8787", "127.0.0.1", "127.0.0.1:8787", "127.3.2.1", "[::1]", "[::1]:8787")
STRANGE = ("", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "[::1", ":8787")


@pytest.mark.parametrize("address", ["127.0.0.1:8787", "*:8787", "10.0.0.5:8787"])
def test_loopback_names_are_ours_and_strange_ones_are_not(address: str) -> None:
    hosts = AllowedHosts(MonitorConfig(address=address))
    assert [name for name in LOOPBACK if not hosts.allows(name)] == []
    assert [name for name in STRANGE if hosts.allows(name)] == []


def test_configured_names_are_ours() -> None:
    hosts = AllowedHosts(MonitorConfig(address="10.0.0.5:8787", hosts=("Recorder.example",)))
    assert hosts.allows("10.0.0.5:8787")
    assert hosts.allows("recorder.example:8787")
    assert not hosts.allows("10.0.0.6:8787")


def test_a_wildcard_address_takes_any_address_and_no_name() -> None:
    hosts = AllowedHosts(MonitorConfig(address="0.0.0.0:8787"))
    assert hosts.allows("192.168.1.7:8787")
    assert hosts.allows("[fd00::7]:8787")
    assert not hosts.allows("recorder.example")
