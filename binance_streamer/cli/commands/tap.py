"""`tap`: live messages as lines, behind recorded ones where a time is given.

In: topic prefixes. Out: a line for each message, plain or JSON. A subscriber that is slow loses messages of the bus;
the recording loses none by it, and `--from` has them from there.
"""

import itertools
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import HINTS, warn
from binance_streamer.cli.options import ConfigFile, refuse
from binance_streamer.cli.recordings.words import extra_for, instant, stamp, terminated_as_interrupted
from binance_streamer.client.tap import HistoryError, Tap, Tapped, is_listening
from binance_streamer.config.endpoints import EXPECTED, is_endpoint
from binance_streamer.config.schema import DEFAULT_PATH, load
from binance_streamer.exchange.streams import UPPER

_SILENCE_S = 5.0
"""Of the first message; a status passes the bus every second, so that without a topic silence is a fault."""
_WIDTH = 160
_EVENT_TIME = re.compile(rb'"E"\s*:\s*(\d{10,16})\b')
_ENVELOPE = frozenset({"symbol", "stream", "recv_ns", "producer", "epoch", "seq", "source", "connection", "event"})


def _endpoint(given: str | None) -> str | None:
    """Return the given endpoint; a usage error where it is none."""
    if given is not None and not is_endpoint(given):
        raise typer.BadParameter(f"{EXPECTED}, got {given!r}")
    return given


def tap(  # noqa: PLR0913 (the options of the command line)
    ctx: typer.Context,
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
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", callback=stamp, help="Begin with what was received then, UTC: 2026-11-22T13:00."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PLACE", help="Of --from: a data folder or lake, in place of the recording's."),
    ] = None,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Show live messages off the bus, behind recorded ones with --from.

    Takes nothing from the recording. A topic is <stream type>.<symbol>.<variant>, a beginning of it is enough.
    Columns: topic, number of the message (`seq`), our receive stamp (`recv_ns`), that minus the event time, event.
    With --from the recorded messages come first, then the live ones, each once and in the order of its topic; what
    the bus loses comes from the files. They have to be readable from here.

    \b
    Examples:
      binance-streamer tap
      binance-streamer tap depth.BTCUSDT. aggtrade. --count 10
      binance-streamer tap status. --json | jq .
      binance-streamer tap --bus tcp://127.0.0.1:5702
      binance-streamer tap depth.BTCUSDT. --from 2026-11-22T13:00
    """
    wanted = [topic_of(given) for given in topics or []]
    if from_ is None:
        refuse(ctx, "means nothing without --from", "data")
    endpoints = load(config).endpoints
    source = bus or endpoints.bus_subscribe
    with terminated_as_interrupted():  # a history keeps pieces of files in a folder
        try:
            with extra_for("tap --from"):
                opened = Tap(
                    source,
                    wanted,
                    curve_directory=endpoints.curve_directory,
                    history_from=instant(from_) if from_ else None,
                    recording=data or config,
                )
            named = source if bus else f"{source}, the bus of {HINTS.recording()}"
            _show(opened, source, named, as_json=as_json, count=count)
        except HistoryError as error:
            raise CommandError(f"{error}", Exit.INCOMPLETE) from error


def topic_of(given: str) -> str:
    """Return the topic prefix that a user means: as the exchange spells a stream, `aggTrade.btcusdt`, will do, too."""
    stream_type, *others = given.split(".")
    return ".".join([stream_type.lower(), *(part.translate(UPPER) for part in others[:1]), *others[1:]])


def json_line(message: Tapped) -> str:
    """Return one JSON object. The event stands in it as it came, with its own digits, whitespace removed."""
    data: dict[str, Any] = {"topic": ".".join(message.topic), "stream_type": message.stream_type, **message.data}
    if "event" in data:
        data["event"] = _embedded(data["event"])
    return msgspec.json.encode(data).decode()


HEADING = f"{'topic':<24} {'seq':>8} {'recv_ns':<19} {'latency':>9} event"


def text_line(message: Tapped, width: int) -> str:
    """Return a line under HEADING: the event is cut such that it has `width` characters at most."""
    data = message.data
    latency_ms = latency_of(data)
    latency = "-" if latency_ms is None else f"{latency_ms:.1f}ms"
    topic = printable(".".join(message.topic))
    return f"{topic:<24} {data['seq']:>8} {data['recv_ns']} {latency:>9} {printable(_short(data))}"[:width]


def latency_of(data: dict[str, Any]) -> float | None:
    """Return our receive stamp minus the exchange's event time, in ms; None of a message without an event time.

    It is negative where our clock is behind the exchange's.
    """
    found = _EVENT_TIME.search(data.get("event", b"")[:400])
    return data["recv_ns"] / 1e6 - int(found[1]) if found else None


def printable(text: str) -> str:
    """Return the text without anything that moves a terminal's cursor or turns its text round."""
    return "".join("?" if unicodedata.category(character)[0] == "C" else character for character in text)


def _short(data: dict[str, Any]) -> str:
    """Return the beginning of an event, or the fields of a message without one, such as a status."""
    if "event" in data:
        return str(data["event"][:1000].decode(errors="replace"))
    return json.dumps({key: value for key, value in data.items() if key not in _ENVELOPE}, default=repr)


def _embedded(event: bytes) -> msgspec.Raw | str:
    """Return the event as JSON with its own digits; as text where it is no JSON."""
    try:
        msgspec.json.decode(event)
        return msgspec.Raw(msgspec.json.format(event, indent=-1))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return event.decode(errors="replace")


def _show(tap: Tap, endpoint: str, named: str, *, as_json: bool, count: int | None) -> None:
    """Print messages until `count` is reached, the reader is gone, or Ctrl-C; `named` says whose endpoint it is."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    try:
        with tap:
            if not as_json:
                sys.stdout.write(HEADING[:width] + "\n")
                sys.stdout.flush()
            for message in itertools.islice(_messages(tap, endpoint, named), count):
                line = json_line(message) if as_json else text_line(message, width)
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    except BrokenPipeError:
        # what is still buffered has no reader; without this the interpreter complains while it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return


def _messages(tap: Tap, endpoint: str, named: str) -> Iterator[Tapped]:
    """Yield messages for ever; warn once where nothing comes at first: no bus, or most often a wrong topic.

    `named` is the endpoint with the words that say whose bus it is.
    """
    if not is_listening(endpoint):
        warn(f"nobody listens at {named}: `binance-streamer status` says what runs; waiting")
    elif (first := tap.receive(_SILENCE_S)) is not None:
        yield first
    else:
        warn(f"nothing received for {_SILENCE_S:.0f} s from {named}: does anything publish these topics? waiting")
    yield from tap
