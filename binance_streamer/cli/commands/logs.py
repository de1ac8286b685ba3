"""`logs`: what the processes wrote into their logs, in the order of its time, and what they write from now on."""

import datetime
import glob
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile, Name
from binance_streamer.config.schema import DEFAULT_PATH, Config, load
from binance_streamer.config.symbols import decode_name
from binance_streamer.deploy.supervisord import program_name, state_directory
from binance_streamer.health.judge import processes

SUPERVISORD = "supervisord"
_LOOK_S = 0.3
_LOOKED_AT = 200
"""Lines at the end of a log in which its last error is looked for."""


def logs(
    process: Name = None,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=1, help="So many of the last ones.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they stand in the files.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Show the logs of the processes.

    Without a name, those of all processes in the order of their time (UTC); `supervisord` is supervisord's own.

    \b
    Examples:
      binance-streamer logs
      binance-streamer logs writer -n 200
      binance-streamer logs ingest-BTCUSDT -f
      binance-streamer logs --json | jq 'select(.level == "warning")'
    """
    show(load(config), process, count=lines, follow=follow, as_json=as_json)


class LogLine(NamedTuple):
    """A line of a log. `time` is empty where it has none."""

    time: str
    process: str
    text: str


class LogFile:
    """A log that others write and rotate.

    It remembers the inode and the offset behind the last line that was read, so that a rotation loses and repeats none.
    """

    def __init__(self, path: Path, process: str) -> None:
        self.path = path
        self._process = process
        self._inode = 0
        self._offset = 0
        self._rest = b""

    def tail(self, count: int) -> list[LogLine]:
        """Return the last lines, also of a file that was rotated lately; `take_new` goes on behind them."""
        lines: deque[bytes] = deque(maxlen=count)
        for path in (self.path.with_name(f"{self.path.name}.1"), self.path):
            try:
                with path.open("rb") as file:
                    found = file.readlines()
                    if path == self.path:
                        self._rest = found.pop() if found and not found[-1].endswith(b"\n") else b""
                        self._offset, self._inode = file.tell(), os.fstat(file.fileno()).st_ino
                    lines.extend(found)
            except OSError:
                continue
        return [self._line(line) for line in lines]

    def new(self) -> list[LogLine]:
        """Return whole lines that were written since the last look; of a rotated file what was left, too."""
        lines: list[LogLine] = []
        try:
            status = self.path.stat()
            if status.st_ino != self._inode or status.st_size < self._offset:
                lines = self._left_behind()
                self._inode, self._offset, self._rest = status.st_ino, 0, b""
            lines += self._read(self.path)
        except OSError:
            pass  # it comes back with the process's next line
        return lines

    def _left_behind(self) -> list[LogLine]:
        """Return lines that were written between the last look and the rotation; they stand in the file `.1`."""
        rotated = self.path.with_name(f"{self.path.name}.1")
        if self._inode and rotated.exists() and rotated.stat().st_ino == self._inode:
            return self._read(rotated)
        return []

    def _read(self, path: Path) -> list[LogLine]:
        """Return the whole lines from the offset on; the beginning of a line is kept until its end is written."""
        with path.open("rb") as file:
            file.seek(self._offset)
            found = file.read()
        self._offset += len(found)
        *whole, self._rest = (self._rest + found).split(b"\n")
        return [self._line(line) for line in whole]

    def _line(self, line: bytes) -> LogLine:
        """Return one line with its time in UTC, so that lines of all processes can be sorted."""
        text = line.rstrip(b"\n").decode(errors="replace")
        try:
            fields = json.loads(text)
            stamp = datetime.datetime.fromisoformat(fields["time"]).astimezone(datetime.UTC).isoformat()
        except (ValueError, KeyError, TypeError):
            return LogLine("", self._process, text)
        return LogLine(stamp, self._process, text)


def files(config: Config, process: str | None) -> list[LogFile]:
    """Return the log of one process, or of all that have one; `CommandError` where there is none."""
    supervisord = LogFile(state_directory(config) / f"{SUPERVISORD}.log", SUPERVISORD)
    if process == SUPERVISORD:
        return [supervisord]
    template = config.logging.file
    if process is not None:
        name = decode_name(program_name(process))
        found = LogFile(config.log_file(name), name)
        if not found.path.exists():
            names = [decode_name(name) for name in _names(template)]
            if names and name not in processes(config):
                raise CommandError(f"{process} has no log; these have one: {', '.join(names)}", Exit.INCOMPLETE)
            early = state_directory(config) / f"{program_name(process).replace('%', '=')}.log"
            raise CommandError(
                f"{found.path} is not there: has {process} run? What a process says before it has a log is in {early}",
                Exit.INCOMPLETE,
            )
        return [found]
    names = _names(template)
    if not names:
        raise CommandError(f"no {template}: nothing has run with this configuration", Exit.INCOMPLETE)
    return [LogFile(Path(template.replace("{process}", name)), decode_name(name)) for name in names]


def last_error(config: Config, process: str) -> str:
    """Return the last error in the log of a process, in one line with its reason; empty where there is none."""
    for line in reversed(LogFile(config.log_file(process), process).tail(_LOOKED_AT)):
        fields = json.loads(line.text) if line.time else {}
        if fields.get("level") == "error":
            why = str(fields.get("traceback", "")).rstrip().rpartition("\n")[2]
            return printable(f"{fields.get('message', '')}: {why}" if why else str(fields.get("message", "")))
    return ""


def _names(template: str) -> list[str]:
    """Return the processes that have a log, as file names spell them: without a dot, which a rotated log's has."""
    before, *others = map(re.escape, template.split("{process}"))
    name = re.compile("(?P<name>[^/.]+)".join([before, "(?P=name)".join(others)]))
    paths = sorted(map(str, Path("/").glob(glob.escape(template)[1:].replace("{process}", "*"))))
    return [found["name"] for found in map(name.fullmatch, paths) if found]


def show(config: Config, process: str | None, *, count: int, follow: bool, as_json: bool) -> None:
    """Print the last lines, and new ones until Ctrl-C."""
    found = files(config, process)
    last = sorted((line for file in found for line in file.tail(count)), key=lambda line: line.time)[-count:]
    _print(last, as_json=as_json)
    try:
        while follow:
            for lines in _new(found):
                _print(lines, as_json=as_json)
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        return


def _new(found: Sequence[LogFile]) -> Iterator[list[LogLine]]:
    """Yield once the new lines of all files, in the order of their time."""
    yield sorted((line for file in found for line in file.new()), key=lambda line: line.time)


def _print(lines: Sequence[LogLine], *, as_json: bool) -> None:
    """Print lines for people, or as they stand in the files; flushed, so that a pipe sees them at once."""
    for line in lines:
        sys.stdout.write((line.text if as_json else shown(line)) + "\n")
    sys.stdout.flush()


def shown(line: LogLine) -> str:
    """Return `2026-11-26 17:00:00.123 writer warning disk full`, and the traceback where there is one."""
    if not line.time:
        return f"{line.process}: {printable(line.text)}"
    fields = json.loads(line.text)
    stamp = line.time.replace("T", " ").removesuffix("+00:00")[:23]
    text = f"{stamp} {line.process} {fields.get('level', '')} {fields.get('message', '')}"
    traceback = str(fields.get("traceback", ""))
    return "\n    ".join(printable(part) for part in (text, *traceback.splitlines()))
