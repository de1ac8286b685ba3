"""Each process's own rotating log: one JSON object per line, written by a thread, never waited for."""

import contextlib
import json
import logging
import logging.handlers
import os
import queue
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from binance_streamer.config.schema import LEVEL_VARIABLE, Config

_QUEUE_RECORDS = 10_000
_MAX_MESSAGE_CHARACTERS = 2000
_STOP_TIMEOUT_S = 2
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class _JsonLines(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "message": record.getMessage()[:_MAX_MESSAGE_CHARACTERS],
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)  # ASCII only: no newline, escape sequence or bidi mark of a stranger reaches a terminal


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    """Loses lines rather than time when the disk or the terminal behind the queue stands still."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # formatted by the listener's thread of this same process


def start(config: Config, process: str, *, to_stderr: bool) -> "LogThread":
    """Send the root logger to the process's file, and to stderr where nobody else keeps it."""
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if to_stderr else []
    path = config.log_file(process)
    fault = None
    try:
        handlers.append(_rotating_file(config, path))
    except OSError as error:  # a full or read-only disk must not keep the process from recording elsewhere
        fault = error
    for handler in handlers:
        handler.setFormatter(_JsonLines(process))
    level = os.environ.get(LEVEL_VARIABLE, config.logging.level).upper()
    thread = LogThread(handlers, level if level in _LEVELS else config.logging.level.upper())
    if fault:
        logging.getLogger(__name__).warning("no log file path=%s error=%s", path, fault)
    return thread


def _rotating_file(config: Config, path: Path) -> logging.Handler:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    return logging.handlers.RotatingFileHandler(
        path, maxBytes=config.logging.max_file_size, backupCount=config.logging.backup_count, encoding="utf-8"
    )


class LogThread:
    """The thread between the loggers and their files."""

    def __init__(self, handlers: list[logging.Handler], level: str) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(_QUEUE_RECORDS)
        self._handlers = handlers
        self._handler = _DroppingQueueHandler(self._lines)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        root = logging.getLogger()
        root.setLevel(level)
        root.addHandler(self._handler)

    def stop(self) -> None:
        """Write what is queued, but wait for a stuck disk two seconds only."""
        logging.getLogger().removeHandler(self._handler)
        with contextlib.suppress(queue.Full):  # the disk is stuck: nothing of the queue would be written
            self._lines.put(None, timeout=_STOP_TIMEOUT_S / 2)
        self._thread.join(_STOP_TIMEOUT_S)

    def _write(self) -> None:
        while (record := self._lines.get()) is not None:
            for handler in self._handlers:
                handler.handle(record)
        for handler in self._handlers:
            if isinstance(handler, logging.FileHandler):
                handler.close()
