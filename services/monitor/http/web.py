"""What is served over HTTP: `/metrics`, `/healthz`, `/events`, and the page."""

import asyncio
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.monitor.http.hosts import AllowedHosts
from services.monitor.http.verdict import HealthAnswer, verdict_of
from services.monitor.metrics.metrics import registry_of
from services.monitor.snapshots.page import MonitorSnapshot, as_json

MAX_CLIENTS = 16
"""Of `/events`. Each gets the newest picture or none: nothing is kept for one that is slow."""
_STUCK_S = 20.0
_LOOK_S = 0.2
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
    """Where the newest snapshot hangs: written by the thread that hears the bus, read by the one that serves."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._newest: tuple[MonitorSnapshot, float] | None = None
        self._json: tuple[MonitorSnapshot, bytes] | None = None

    def put(self, snapshot: MonitorSnapshot) -> None:
        """Replace the newest snapshot."""
        self._newest = snapshot, self._now_s()

    @property
    def snapshot(self) -> MonitorSnapshot | None:
        """The newest one; None before the first."""
        return self._newest[0] if self._newest else None

    @property
    def age_s(self) -> float:
        """How long ago it was made."""
        return self._now_s() - self._newest[1] if self._newest else 0.0

    def json(self, snapshot: MonitorSnapshot) -> bytes:
        """Its picture as JSON, made once for all clients."""
        made = self._json
        if made is None or made[0] is not snapshot:
            made = self._json = snapshot, as_json(snapshot.page)
        return made[1]


def application(board: Board, hosts: AllowedHosts) -> ASGIApp:
    """Build the whole site, with headers that let nobody else's page or script in."""

    def healthz(_: Request) -> Response:
        verdict: HealthAnswer = verdict_of(board.snapshot, board.age_s)
        return Response(
            msgspec.json.format(msgspec.json.encode(verdict), indent=2) + b"\n",
            status_code=200 if verdict.healthy else 503,
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        text = encode(registry_of(board.snapshot, board.age_s))
        return Response(text, media_type=content_type, headers={"cache-control": "no-store"})

    return _Guarded(
        Starlette(
            routes=[
                Route("/healthz", healthz),
                Route("/metrics", metrics),
                Route("/events", EventStream(board)),
                Mount("/", StaticFiles(directory=_STATIC, html=True)),
            ]
        ),
        hosts,
    )


class EventStream:
    """Server-sent events: the newest picture, whenever there is a new one."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._clients = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._clients >= MAX_CLIENTS:
            text = f"{MAX_CLIENTS} clients listen already; close a page that you do not look at\n"
            await Response(text, 503, {"retry-after": "10"}, "text/plain")(scope, receive, send)
            return
        self._clients += 1
        gone = asyncio.create_task(_gone(receive))
        try:
            await self._serve(send, gone)
        except (TimeoutError, OSError):
            return  # it does not read, or is away
        finally:
            gone.cancel()
            self._clients -= 1

    async def _serve(self, send: Send, gone: "asyncio.Task[None]") -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True})
        shown: MonitorSnapshot | None = None
        while not gone.done():
            snapshot = self._board.snapshot
            if snapshot is None or snapshot is shown:
                await asyncio.wait([gone], timeout=_LOOK_S)
                continue
            shown = snapshot
            body = b"data: " + self._board.json(snapshot) + b"\n\n"
            async with asyncio.timeout(_STUCK_S):
                await send({"type": "http.response.body", "body": body, "more_body": True})


class _Guarded:
    """Answers requests for our own names only, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        app = self._app
        if scope["type"] == "http" and not self._hosts.allows(Headers(scope=scope).get("host", "")):
            app = Response("this name is not answered: add it to monitor.hosts\n", 403, media_type="text/plain")
        await app(scope, receive, send_guarded)


async def _gone(receive: Receive) -> None:
    message: MutableMapping[str, Any] = {}
    while message.get("type") != "http.disconnect":
        message = await receive()
