"""A tiny stand-in for the monitor: the page's files, and snapshots of a test's choice as server-sent events."""

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

PAGE = resources.files("services.monitor") / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
Answer = Callable[[dict[str, str], dict[str, str]], tuple[int, Any]]
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


class FakeMonitor:
    """Serves the page; `send` changes what it shows. `silent` sends nothing more, `refusing` answers with an error.

    `api` has a function for each question of the HTTP API: from its words and headers to a status and a value as JSON,
    or the text of JSON lines.
    """

    def __init__(self, *, every_s: float = 0.3) -> None:
        self.silent = False
        self.refusing = False
        self.refused = 0
        self.api: dict[str, Answer] = {
            "days": lambda _words, _headers: (200, {"days": [], "symbols": []}),
            "gaps": lambda words, _headers: (200, {"day": words["day"], "total": 0, "gaps": []}),
        }
        self.asked: list[str] = []
        """The questions to the API, as they came."""
        self._every_s = every_s
        self._snapshot: Callable[[], Any] = lambda: None
        self._ended = False
        self._changed = threading.Condition()
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/events":
                    monitor._stream(self)
                elif path.startswith("/api/"):
                    monitor._answer(self)
                else:
                    self._file(path.strip("/") or "index.html")

            def _file(self, name: str) -> None:
                place = PAGE.joinpath(*name.split("/"))
                if not place.is_file():
                    self.send_error(404)
                    return
                content = place.read_bytes()
                self.send_response(200)
                self.send_header("Content-Type", f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8")
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def send(self, snapshot: Any) -> None:
        """From now on this snapshot; a function is asked for each."""
        with self._changed:
            self._snapshot = snapshot if callable(snapshot) else lambda: snapshot
            self._changed.notify_all()

    def _answer(self, answer: BaseHTTPRequestHandler) -> None:
        path, _, query = answer.path.partition("?")
        self.asked.append(answer.path)
        status, value = self.api[path.removeprefix("/api/")](dict(parse_qsl(query)), dict(answer.headers))
        text = value if isinstance(value, str) else json.dumps(value)
        answer.send_response(status)
        answer.send_header("Content-Type", "application/json")
        answer.send_header("Content-Length", str(len(text.encode())))
        answer.end_headers()
        with contextlib.suppress(OSError):  # the page asks something else by now
            answer.wfile.write(text.encode())

    def _stream(self, answer: BaseHTTPRequestHandler) -> None:
        if self.refusing:
            self.refused += 1
            answer.send_error(503)
            return
        answer.send_response(200)
        answer.send_header("Content-Type", "text/event-stream")
        answer.end_headers()
        with self._changed:
            while not (self._ended or self.refusing):
                try:
                    if not self.silent:
                        answer.wfile.write(b"data: " + json.dumps(self._snapshot()).encode() + b"\n\n")
                except OSError:
                    return
                self._changed.wait(self._every_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
