"""Options of the command line; `--help` explains each one.

In: words of the command line. Out: `Options`; a wrong word ends the process with exit code 2, as argparse does.
"""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from simulator.market.rates import DEFAULT_MIX, SUFFIXES
from simulator.server.limits import ConnectionLimits
from simulator.stream_names import family_of
from simulator.synthetic import SyntheticOptions

_EXAMPLES = """examples:
  a market of two symbols, 5000 messages a second, with a tape and a control socket
    python -m simulator --symbols BTCUSDT,ETHUSDT --rate 5000 --tape tape --control control.sock
  the same, one command later
    echo 'close fin *' | nc -U control.sock
  a recording, as fast as its clients read
    python -m simulator --capture capture.gz --speed max --tape tape
"""


_Kind = TypeVar("_Kind", ConnectionLimits, SyntheticOptions)


@dataclass(frozen=True, slots=True)
class Options:
    """All options of one simulator. Times are in the unit of their names, files are None where they are not wanted.

    `capture` replays a recording, without it the market is `synthetic`. `port` 0 takes any free one. `ban_after` counts
    answers 429 in a row, `ban_s` is the first ban's length. `clock_offset_ms` is the exchange's clock minus ours.
    """

    host: str
    port: int
    tls_cert: Path | None
    tls_key: Path | None
    tape: Path | None
    control: Path | None
    clock_offset_ms: int
    start_time_ms: int | None
    capture: Path | None
    speed: float  # 0: as fast as possible
    weight_limit: int
    ban_after: int
    ban_s: float
    limits: ConnectionLimits
    synthetic: SyntheticOptions


def parse_options(arguments: list[str] | None = None) -> Options:
    """Return the options in these words; None: those of this process's command line."""
    found = vars(_parser().parse_args(arguments))
    found["stream_rates"] = dict(found.pop("stream_rate"))
    limits, synthetic = _taken(ConnectionLimits, found), _taken(SyntheticOptions, found)
    return Options(**found, limits=limits, synthetic=synthetic)


def _taken(kind: type[_Kind], found: dict[str, Any]) -> _Kind:
    """Take those options out of `found` that are fields of this dataclass, and return it made of them."""
    return kind(**{one.name: found.pop(one.name) for one in fields(kind) if one.name in found})


def _parser() -> argparse.ArgumentParser:
    """Return the parser, with the options in groups: server, limits, synthetic market, replay."""
    parser = argparse.ArgumentParser(
        prog="binance-simulator",
        description="A fake Binance USDⓈ-M futures exchange: websocket streams and REST on one port.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_server_options(parser)
    _add_limit_options(parser)
    market = parser.add_argument_group("the synthetic market")
    market.add_argument("--symbols", type=_names, default=("BTCUSDT", "ETHUSDT"), help="BTCUSDT,ETHUSDT,…")
    market.add_argument("--seed", type=int, default=1)
    market.add_argument(
        "--rate", type=_positive, default=200.0, help="messages a second of the mix, all symbols together"
    )
    market.add_argument("--mix", type=_mix, default=DEFAULT_MIX, help="streams that make the rate (%(default)s)")
    market.add_argument(
        "--streams",
        type=_mix,
        default=SUFFIXES,
        metavar="STREAM,…",
        help="the only streams that there are; with hundreds of symbols, name those that are recorded (default: all)",
    )
    market.add_argument(
        "--stream-rate", type=_stream_rate, action="append", default=[], metavar="STREAM=RATE",
        help="messages a second per symbol of a stream (depth@0ms=100) or a family (depth=100); repeatable",
    )  # fmt: skip
    replay = parser.add_argument_group("the replay of a recording")
    replay.add_argument("--capture", type=Path, metavar="FILE[.gz]")
    replay.add_argument("--speed", type=_speed, default=1.0, help="1 as recorded, 0 or max as fast as clients read")
    return parser


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of address, encryption, tape, control socket and clock."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any; the first line on stdout is `listening PORT`")
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--tape", type=Path, metavar="DIR", help="writes everything that was sent")
    parser.add_argument("--control", type=Path, metavar="PATH", help="unix socket for commands, see docs/simulator.md")
    parser.add_argument("--clock-offset-ms", type=int, default=0, help="of the exchange's clock")
    parser.add_argument("--start-time-ms", type=int, help="of the exchange's clock; now where not given")


def _add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of connection and request limits (docs/exchange.md §3, §4)."""
    limits = ConnectionLimits()
    group = parser.add_argument_group("limits")
    group.add_argument("--ping-interval-s", type=_positive, default=limits.ping_interval_s)
    group.add_argument("--pong-timeout-s", type=_positive, default=limits.pong_timeout_s)
    group.add_argument("--lifetime-s", type=_positive, default=limits.lifetime_s, help="of a websocket connection")
    group.add_argument(
        "--buffer-bytes", type=int, default=limits.buffer_bytes, help="a client behind by more is cut off"
    )
    group.add_argument("--weight-limit", type=int, default=2400, help="REST weight a minute")
    group.add_argument("--ban-after", type=int, default=5, help="429s in a row before a ban")
    group.add_argument("--ban-s", type=_positive, default=120.0, help="of the first ban; the next is twice as long")


def _names(text: str) -> tuple[str, ...]:
    """Return the names between commas, each once, in their order; refuse an empty list."""
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    if not names:
        raise argparse.ArgumentTypeError("no symbol")
    return names


def _mix(text: str) -> tuple[str, ...]:
    """Return the names of streams between commas; refuse those that the market does not have."""
    for name in _names(text):
        if name not in SUFFIXES:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(SUFFIXES)}")
    return _names(text)


def _stream_rate(text: str) -> tuple[str, float]:
    """Return stream or family and rate of `STREAM=RATE`; refuse names that the market does not have."""
    name, equals, rate = text.partition("=")
    if not equals or all(name not in (suffix, family_of(suffix)) for suffix in SUFFIXES):
        raise argparse.ArgumentTypeError(f"{text} is not STREAM=RATE with a stream of {', '.join(SUFFIXES)}")
    return name, float(rate)


def _speed(text: str) -> float:
    """Return the speed of a replay as a number; `max` is 0, which means as fast as clients read."""
    return 0.0 if text == "max" else float(text)


def _positive(text: str) -> float:
    """Return a number above 0; argparse reports any other text as a usage error."""
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
