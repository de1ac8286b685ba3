"""`python -m services.ingest.probe`: tries one connection per route, and waits for a message of each stream.

The command `doctor` runs it and prints its lines.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import MembersFile
from binance_streamer.config.schema import Config, streams_of
from binance_streamer.exchange.stream_types import ROUTES
from binance_streamer.exchange.streams import Stream
from binance_streamer.wire.check_lines import Check, line_of
from services.ingest.connections.dial import DialError, WebSocketConnection, dial
from services.ingest.connections.dialler import budget_of, subscribed, target_of
from services.ingest.connections.events import Delivered, Ended
from services.ingest.connections.reader import Reader
from services.ingest.streams.demux import parse, split
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.network.reachable import check_addresses

_RESERVED = 1 / 3
"""Share of the budget of attempts that is left to workers: they come first."""
_MOST_STREAMS = 400
"""Ten requests subscribe so many streams, and the exchange takes ten messages a second (docs/exchange.md §3)."""
_BATCH_BYTES = 1 << 20
_ADVICE = {
    "dns": "is network.websocket_url right, and does the name server answer?",
    "refused": "is network.websocket_url right, and does a firewall stand in the way?",
    "timeout": "is network.websocket_url right, and does a firewall stand in the way?",
    "tls": "are the system's certificates there, or is network.ca_file needed?",
    "proxy": "look at the proxy that the environment names; docs/proxies.md",
    "http": "403 and 451: the exchange does not serve this address or region; 429: connect less often",
    "url": "network.websocket_url",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line of JSON per check; return 0, or 78 where the configuration is not valid."""
    parser = argparse.ArgumentParser(prog="python -m services.ingest.probe", description=__doc__)
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, default=configuration.default_path())
    parser.add_argument("--seconds", metavar="S", type=float, default=10.0, help="to wait for messages of a route")
    options = parser.parse_args(arguments)
    try:
        config = MembersFile(configuration.load(options.config)).config
    except configuration.ConfigError as error:
        sys.stderr.write(f"ingest: {error}\n")
        return configuration.EXIT_CODE
    for check in check_addresses(config.network.websocket_url, timeout_s=config.network.connect_timeout):
        _print(check)
    for route in ROUTES:
        found = (stream for symbol in config.symbols for stream in streams_of(symbol) if stream.route == route)
        streams = list({stream.subscribed: stream for stream in found}.values())
        for check in _probe(config, route, streams, options.seconds) if streams else ():
            _print(check)
    return 0


def _print(check: Check) -> None:
    sys.stdout.write(line_of(check) + "\n")
    sys.stdout.flush()


def _probe(config: Config, route: str, streams: Sequence[Stream], seconds: float) -> Iterator[Check]:
    what = f"{config.network.websocket_url}/{route}"
    wait_s = budget_of(config).take(wall_ns(), reserve=int(config.network.connect_attempts * _RESERVED))
    if wait_s > 0:
        found = f"not tried: the connection attempts of the last 5 minutes are used up for another {wait_s:.0f} s"
        yield Check(what, "warn", found, "find out why workers connect so often: `binance-streamer logs`")
        return
    asked = streams[:_MOST_STREAMS]
    target = target_of(config.network.websocket_url, route, asked)
    started_s = monotonic_s()
    try:
        connection = dial(
            target.url,
            connect_timeout_s=config.network.connect_timeout,
            ca_file=config.network.ca_file or None,
        )
    except DialError as error:
        yield Check(what, "fail", str(error), _ADVICE[error.kind])
        return
    yield Check(what, "ok", f"connected in {(monotonic_s() - started_s) * 1000:.0f} ms")
    heard, end = _listen(config, connection, target.requests, set(subscribed(asked)), seconds)
    if end:
        yield Check(what, "warn", f"the connection ended: {end}", "once is no trouble; again and again is")
    for stream in asked:
        yield _verdict(stream, heard, is_silent=not heard, seconds=seconds)


def _listen(
    config: Config, connection: WebSocketConnection, requests: Sequence[str], wanted: set[str], seconds: float
) -> tuple[Mapping[str, float], str]:
    """Return the seconds until the first message of each stream, and why the connection ended where it did."""
    reader = Reader(max_message_bytes=config.performance.max_frame_bytes, frame_timeout_s=config.network.frame_timeout)
    reader.start()
    reader.add(1, connection, requests)
    started_s = monotonic_s()
    heard: dict[str, float] = {}
    try:
        while monotonic_s() < started_s + seconds and heard.keys() != wanted:
            reader.read(started_s + seconds)
            for event in reader.take(_BATCH_BYTES):
                if isinstance(event, Delivered):
                    for name in map(_name, event.messages):
                        if name in wanted:
                            heard.setdefault(name, monotonic_s() - started_s)
                elif isinstance(event, Ended):
                    return heard, event.detail
    finally:
        reader.stop()
    return heard, ""


def _name(message: bytes) -> str:
    """Return the stream of a message; empty where it is not the combined form."""
    name, _ = split(message)
    if not name:
        found = parse(message)
        name = found[0] if found else b""
    return name.decode(errors="replace")


def _verdict(stream: Stream, heard: Mapping[str, float], *, is_silent: bool, seconds: float) -> Check:
    if stream.subscribed in heard:
        return Check(stream.subscribed, "ok", f"the first message after {heard[stream.subscribed]:.1f} s")
    found = f"no message in {seconds:g} s"
    if is_silent and stream.type.is_busy:
        return Check(stream.subscribed, "fail", found, "nothing comes on this path: is network.websocket_url right?")
    if stream.type.is_busy:
        return Check(stream.subscribed, "fail", found, "is the symbol trading, and does the stream exist?")
    return Check(stream.subscribed, "warn", found, "it may be quiet: nothing comes while nobody trades")


if __name__ == "__main__":
    sys.exit(main())
