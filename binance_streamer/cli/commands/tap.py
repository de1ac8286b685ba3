"""`tap`: live messages as lines."""

import itertools
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
import typer

from binance_streamer.cli.options import ConfigFile
from binance_streamer.client.tap import Tap, Tapped
from binance_streamer.config.endpoints import EXPECTED, is_endpoint
from binance_streamer.config.schema import DEFAULT_PATH, EndpointsConfig, load

_SILENCE_S = 5.0
_WIDTH = 160
_EVENT_TIME = re.compile(rb'"E"\s*:\s*(\d{10,16})\b')
_ENVELOPE = frozenset({"symbol", "stream", "recv_ns", "producer", "epoch", "seq", "source", "connection", "event"})


def _endpoint(given: str | None) -> str | None:
    """What stands behind `--bus`, if it is an endpoint."""
    if given is not None and not is_endpoint(given):
        raise typer.BadParameter(f"{EXPECTED}, got {given!r}")
    return given


def tap(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="Prefixes: depth. or depth.BTCUSDT.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many messages.")] = None,
    bus: Annotated[
        str | None,
        typer.Option(
            metavar="ENDPOINT", callback=_endpoint, help="Where to listen, in place of endpoints.bus_subscribe."
        ),
    ] = None,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Show live messages off the bus.

    Takes nothing from the recording. A line: topic, number, receive stamp (ns), latency, event.

    \b
    Examples:
      binance-streamer tap
      binance-streamer tap depth.BTCUSDT. aggtrade. --count 10
      binance-streamer tap status. --json | jq .
      binance-streamer tap --bus tcp://127.0.0.1:5702
    """
    show(load(config).endpoints, topics or [], as_json=as_json, count=count, bus=bus)


def json_line(message: Tapped) -> str:
    """One JSON object; the event stands in it as it came, with its own digits, whitespace removed."""
    data: dict[str, Any] = {"topic": ".".join(message.topic), "stream_type": message.stream_type, **message.data}
    if "event" in data:
        data["event"] = _embedded(data["event"])
    return msgspec.json.encode(data).decode()


def text_line(message: Tapped, width: int) -> str:
    """Topic, number, stamp, latency and the beginning of the event, within `width` characters."""
    data = message.data
    latency_ms = latency_of(data)
    latency = "-" if latency_ms is None else f"{latency_ms:.1f}ms"
    topic = printable(".".join(message.topic))
    return f"{topic:<24} {data['seq']:>8} {data['recv_ns']} {latency:>9} {printable(_short(data))}"[:width]


def latency_of(data: dict[str, Any]) -> float | None:
    """Our receive stamp less the exchange's event time, in ms; negative where our clock is behind. None without one."""
    found = _EVENT_TIME.search(data.get("event", b"")[:400])
    return data["recv_ns"] / 1e6 - int(found[1]) if found else None


def printable(text: str) -> str:
    """Without anything that moves a terminal's cursor or turns its text round."""
    return "".join("?" if unicodedata.category(character)[0] == "C" else character for character in text)


def _short(data: dict[str, Any]) -> str:
    if "event" in data:
        return str(data["event"][:1000].decode(errors="replace"))
    return json.dumps({key: value for key, value in data.items() if key not in _ENVELOPE}, default=repr)


def _embedded(event: bytes) -> msgspec.Raw | str:
    try:
        msgspec.json.decode(event)
        return msgspec.Raw(msgspec.json.format(event, indent=-1))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return event.decode(errors="replace")


def show(
    endpoints: EndpointsConfig, topics: Sequence[str], *, as_json: bool, count: int | None, bus: str | None = None
) -> None:
    """Print messages until `count` is reached, the reader is gone, or Ctrl-C."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    source = bus or endpoints.bus_subscribe
    try:
        with Tap(source, topics, curve_directory=endpoints.curve_directory) as tap:
            for message in itertools.islice(_messages(tap, source), count):
                line = json_line(message) if as_json else text_line(message, width)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    except BrokenPipeError:
        # what is still buffered has no reader; without this the interpreter complains while it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return


def _messages(tap: Tap, endpoint: str) -> Iterator[Tapped]:
    first = tap.receive(_SILENCE_S)
    if first is None:
        sys.stderr.write(
            f"nothing received for {_SILENCE_S:.0f} s from {endpoint}: is the bus running (`binance-streamer status`), "
            "and does anything publish these topics? waiting\n"
        )
        sys.stderr.flush()
    else:
        yield first
    yield from tap
