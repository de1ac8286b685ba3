"""The recorder of a field test: its configuration in a folder of its own, and what its files say when it has ended."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from binance_streamer.cli.fieldtest.rest import SHARE
from binance_streamer.cli.fieldtest.seen import RecorderSeen
from binance_streamer.cli.fieldtest.watch import ATTEMPTS
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config, NetworkConfig
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.health.gap_files import gaps_of_all_days
from binance_streamer.health.gaps import GapRow, folded
from binance_streamer.stores.scratch import ScratchFolder

STREAMS = ("aggTrade", "depth@0ms", "kline_1m", "bookTicker", "trade", "markPrice@1s", "forceOrder")
"""One of every kind that has rules of its own; each symbol of the field test records all of them."""
_CONNECT_ATTEMPTS = 300
"""The limit in five minutes that we assume (docs/exchange.md §3)."""
_RECORDERS_PART = 0.6
"""Of that tenth of the weight: the rest is for what the field test itself asks."""
_LEAST_LIFETIME_S = 8.0
_LEAST_AUDIT_S = 15.0
_MOST_FINDINGS = 5


def recorder_config(
    network: NetworkConfig, symbols: Sequence[str], *, duration_s: float, data: Path, run: Path
) -> Config:
    """Return the configuration: all streams, connections that are replaced three times, a tenth of every limit."""
    path = data / "streamer.yaml"
    lifetime_s = max(_LEAST_LIFETIME_S, duration_s / 3)
    config = Config(
        mode="production",
        modes={
            "production": configuration.ModeConfig(
                symbols=tuple(configuration.SymbolConfig(symbol=symbol, streams=STREAMS) for symbol in symbols)
            )
        },
        network=NetworkConfig(
            websocket_url=network.websocket_url,
            rest_url=network.rest_url,
            ca_file=network.ca_file,
            connect_attempts=int(_CONNECT_ATTEMPTS * SHARE) - ATTEMPTS,
            connections=2,
            connection_lifetime=lifetime_s,
            weight_share=SHARE * _RECORDERS_PART,
            clock_interval=max(10.0, min(60.0, duration_s / 6)),
        ),
        storage=configuration.StorageConfig(
            output_directory=str(data), journal_directory=str(data / "journal"), commit_interval=2
        ),
        orderbook=configuration.OrderbookConfig(audit_interval=max(_LEAST_AUDIT_S, duration_s / 6)),
        monitor=configuration.MonitorConfig(enabled=False),
        logging=configuration.LoggingConfig(file=str(data / "log" / "{process}.log")),
        endpoints=configuration.EndpointsConfig(run_directory=str(run)),
    )
    text = configuration.dump(config)
    path.write_text(text, encoding="utf-8")
    return configuration.parse(text, path)


def note_files(seen: RecorderSeen, data: Path) -> None:
    """Note the gaps that were listed, and the findings of `verify`, which believes nothing that the recorder says."""
    gaps = folded(gaps_of_all_days(data).rows)
    seen.gaps = dict(Counter(gap.newest.reason for gap in gaps))
    lost = [gap.newest for gap in gaps if _is_lost(gap.newest)]
    seen.unrepaired = dict(Counter(row.reason for row in lost))
    seen.repaired = sum(gap.newest.state == "repaired" and gap.newest.reason == "restart" for gap in gaps)
    try:
        from binance_streamer.days.checks.verify import verify_day  # noqa: PLC0415 (needs the extra `days`)
        from binance_streamer.days.day_files import days_in  # noqa: PLC0415
    except ImportError:
        return
    reports = [verify_day(files, None, state="open", last_ids={})[0] for files in days_in([data])]
    findings = [finding for report in reports for finding in report.findings]
    seen.verified = len(findings)
    seen.findings = [f"{one.check}: {one.stream}: {one.text}" for one in findings[:_MOST_FINDINGS]]


def run_folder() -> ScratchFolder:
    """Return a folder for sockets, whose paths must be short; it goes with the `with` block."""
    return ScratchFolder("binance-streamer-")


def _is_lost(gap: GapRow) -> bool:
    """Return True for a gap that REST should have filled and has not; open bars have no ids, and are not had later."""
    if gap.state != "unrepairable" or gap.from_id is None:
        return False
    try:
        return stream_from_name(gap.stream).type.rest_row is not None
    except ExchangeError:
        return False
