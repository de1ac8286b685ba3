"""`/api/…`: recorded days, read by a process of their own. docs/http-api.md has the questions, with examples.

In: a request. Out: the answer of the reader process, piece by piece as the client takes it, or a refusal as JSON that
says what to do. This module knows no question: it lets in, forwards, and gives up.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.monitor.http.gone import until_gone
from services.monitor.http.reader_process import ReaderBusyError, ReaderEndedError, ReaderProcess
from services.monitor.reader.answers import JSON, AnswerHead, ApiQuestion, RefusalText

LASTS_S = 60.0
"""From the question to the last byte, waiting for others included; then the reader is killed."""
PREFIX = "/api/"


class RecordingApi:
    """Answers questions about recorded days, to whoever may ask.

    `token` is empty where only this machine can ask. `is_open` is True where others can reach the address: without a
    token nothing is answered then.
    """

    def __init__(self, reader: ReaderProcess, *, token: str = "", is_open: bool = False) -> None:
        self._reader = reader
        self._token = token.encode()
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and let go of the reader once the client has; the ASGI interface."""
        refused = self._refusal(scope["method"], Headers(scope=scope))
        if refused is not None:
            await refused(scope, receive, send)
            return
        question = ApiQuestion(scope["path"].removeprefix(PREFIX), scope["query_string"].decode("latin-1"))
        await until_gone(receive, self._answer(question, scope, receive, send))

    async def close(self) -> None:
        """End the reader; the server has ended."""
        await self._reader.close()

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        """Return a refusal where the request may not be answered, else None.

        A page of somebody else's cannot read answers, but could keep the reader busy: browsers say where from they ask.
        """
        if method != "GET":
            return _refused(405, "nothing can be changed here: ask with GET")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return _refused(403, "a page of another site asks: open this one's page, or ask without a browser")
        if self._is_open and not self._token:
            return _refused(403, "others can reach this address: set monitor.token_file (docs/security.md)")
        if self._token and not hmac.compare_digest(_bearer(headers), self._token):
            refused = _refused(401, "expected the header `Authorization: Bearer TOKEN`, of monitor.token_file")
            refused.headers["www-authenticate"] = "Bearer"
            return refused
        return None

    async def _answer(self, question: ApiQuestion, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the reader says; a refusal where it does not come to an answer in time.

        Where an answer breaks off behind its head the connection is closed before its end, so that nobody takes half of
        it for all.
        """
        has_begun = False
        try:
            async with asyncio.timeout(LASTS_S), aclosing(self._reader.ask(question)) as pieces:
                async for message in _messages(pieces):
                    has_begun = True
                    await send(message)
            return
        except TimeoutError:
            refused = _refused(504, f"took more than {LASTS_S:.0f} s: ask for a shorter time, or for a sealed day")
        except ReaderBusyError:
            refused = _refused(503, "too many questions at once: ask again in a second")
            refused.headers["retry-after"] = "1"
        except ReaderEndedError:
            refused = _refused(
                500, "reading ended before its answer, out of memory or by a bug: ask for a shorter time"
            )
        if not has_begun:
            await refused(scope, receive, send)


async def _messages(pieces: AsyncIterator[bytes]) -> AsyncIterator[dict[str, object]]:
    """Turn pieces into messages of ASGI: the head begins the answer, the end is an empty piece."""
    head = msgspec.json.decode(await anext(pieces), type=AnswerHead)
    headers = [(b"content-type", head.content_type.encode()), (b"cache-control", b"no-store")]
    if head.next:
        headers.append((b"link", f'<{head.next}>; rel="next"'.encode()))
    yield {"type": "http.response.start", "status": head.status, "headers": headers}
    async for piece in pieces:
        yield {"type": "http.response.body", "body": piece, "more_body": True}
    yield {"type": "http.response.body", "body": b"", "more_body": False}


def _bearer(headers: Headers) -> bytes:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip().encode() if kind.lower() == "bearer" else b""


def _refused(status: int, error: str) -> Response:
    text = msgspec.json.encode(RefusalText(error)) + b"\n"
    return Response(text, status, {"cache-control": "no-store"}, JSON)
