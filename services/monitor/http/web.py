"""The site that is served over HTTP: `/metrics`, `/healthz`, `/events`, and the page.

| path | answer |
|---|---|
| `/healthz` | JSON; status 200 where everything is recorded, 503 where not |
| `/metrics` | the form of Prometheus that the client asks for |
| `/events` | server-sent events, a snapshot as JSON each second |
| `/api/…` | recorded days, of `api` |
| anything else | the files of the page |

In: the newest snapshot, by the `Board`. Runs in the HTTP server's threads, but `Board.put`, which the
thread of the bus calls. No request changes anything: there is nothing to protect but what is read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.monitor.http.api import RecordingApi
from services.monitor.http.gone import gone
from services.monitor.http.hosts import AllowedHosts
from services.monitor.http.verdict import HealthAnswer, verdict_of
from services.monitor.metrics.metrics import registry_of
from services.monitor.snapshots.page import MonitorSnapshot, as_json

MAX_CLIENTS = 16
"""Of `/events`. Each gets the newest picture or none: nothing is kept for one that is slow."""
_STUCK_S = 20.0
"""A client that takes nothing for so long is closed; the same time as the kernel's limit in `server`."""
_LOOK_S = 0.2
"""Between two looks for a new snapshot: an event is late by as much at most."""
_STATIC = Path(__file__).parents[1] / "static"
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Board:
    """Holds the newest snapshot: written by the thread that hears the bus, read by those that serve.

    There is no lock: snapshot and time are replaced together as one tuple, so that a reader sees the old pair
    or the new one. Readers keep their snapshot as long as they need it, since none ever changes.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._newest: tuple[MonitorSnapshot, float] | None = None
        self._json: tuple[MonitorSnapshot, bytes] | None = None

    def put(self, snapshot: MonitorSnapshot) -> None:
        """Replace the newest snapshot, and note when; called once a second by the thread of the bus."""
        self._newest = snapshot, self._now_s()

    @property
    def snapshot(self) -> MonitorSnapshot | None:
        """The newest snapshot; None before the first."""
        return self._newest[0] if self._newest else None

    @property
    def age_s(self) -> float:
        """Seconds since the newest snapshot was put here; 0 before the first."""
        return self._now_s() - self._newest[1] if self._newest else 0.0

    def json(self, snapshot: MonitorSnapshot) -> bytes:
        """Return the page's part of a snapshot as JSON, made once for all clients.

        Only the event loop calls it, once per client and snapshot; encoding for each client would hold up the others.
        """
        made = self._json
        if made is None or made[0] is not snapshot:
            made = self._json = snapshot, as_json(snapshot.page)
        return made[1]


def application(board: Board, hosts: AllowedHosts, api: RecordingApi) -> ASGIApp:
    """Build the whole site, with headers that let nobody else's page or script in.

    The routes are tried in order, so that the page, which takes every path, stands last. Answers that change
    are marked as not to be cached.
    """

    def healthz(_: Request) -> Response:
        """Answer by the newest snapshot: 200 where all is recorded, else 503, with the reasons as indented JSON."""
        verdict: HealthAnswer = verdict_of(board.snapshot, board.age_s)
        return Response(
            msgspec.json.format(msgspec.json.encode(verdict), indent=2) + b"\n",
            status_code=200 if verdict.healthy else 503,
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    def metrics(request: Request) -> Response:
        """Answer in the text form that the `Accept` header prefers: Prometheus' own, or OpenMetrics."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        text = encode(registry_of(board.snapshot, board.age_s))
        return Response(text, media_type=content_type, headers={"cache-control": "no-store"})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Serve, and end the API's process behind it, while the event loop still runs."""
        yield
        await api.close()

    return _Guarded(
        Starlette(
            lifespan=lifespan,
            routes=[
                Route("/healthz", healthz),
                Route("/metrics", metrics),
                Route("/events", EventStream(board)),
                Route("/api/{question:path}", api),
                Mount("/", StaticFiles(directory=_STATIC, html=True)),
            ],
        ),
        hosts,
    )


class EventStream:
    """Server-sent events: the newest snapshot, whenever there is a new one, to at most `MAX_CLIENTS`.

    A client that reads slowly gets fewer snapshots, never old ones: nothing is queued for it. One more client
    than allowed gets 503 and is asked to come again after ten seconds.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._clients = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it leaves or stops reading; the ASGI interface of the route."""
        if self._clients >= MAX_CLIENTS:
            text = f"{MAX_CLIENTS} clients listen already; close a page that you do not look at\n"
            await Response(text, 503, {"retry-after": "10"}, "text/plain")(scope, receive, send)
            return
        self._clients += 1
        leaving = asyncio.create_task(gone(receive))
        try:
            await self._serve(send, leaving)
        except (TimeoutError, OSError):
            return  # it does not read, or is away
        finally:
            leaving.cancel()
            self._clients -= 1

    async def _serve(self, send: Send, leaving: "asyncio.Task[None]") -> None:
        """Send each new snapshot once, until the client is gone; TimeoutError where it takes nothing for `_STUCK_S`.

        The first line tells the browser to connect again two seconds after a loss. Every client looks for a new
        snapshot each `_LOOK_S`, so that the thread of the bus has nobody to wake.
        """
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True})
        shown: MonitorSnapshot | None = None
        while not leaving.done():
            snapshot = self._board.snapshot
            if snapshot is None or snapshot is shown:
                await asyncio.wait([leaving], timeout=_LOOK_S)
                continue
            shown = snapshot
            body = b"data: " + self._board.json(snapshot) + b"\n\n"
            async with asyncio.timeout(_STUCK_S):
                await send({"type": "http.response.body", "body": body, "more_body": True})


class _Guarded:
    """Answers requests for our own names only, and adds headers to every answer.

    The headers let the page load scripts, styles and data from this server alone, and forbid others to embed
    it: the page has no login, and may show a recorder behind a firewall to whoever can make a browser ask.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 where `Host` is none of our names, else pass the request on; the ASGI interface."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        app = self._app
        if scope["type"] == "http" and not self._hosts.allows(Headers(scope=scope).get("host", "")):
            app = Response("this name is not answered: add it to monitor.hosts\n", 403, media_type="text/plain")
        await app(scope, receive, send_guarded)
