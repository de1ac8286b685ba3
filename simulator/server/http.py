"""Just enough HTTP/1.1 for GET requests without a body, and JSON as the exchange writes it."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus

MOST_HEAD_BYTES = 32_768
MOST_TARGET_BYTES = 8_000  # about the length at which the exchange gave up (2019)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case

    @property
    def is_upgrade(self) -> bool:
        """True where the client asks for a websocket."""
        return "websocket" in self.headers.get("upgrade", "").lower()


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """`sent_bytes` below the body's length cuts the answer short and ends the connection."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=UTF-8"
    sent_bytes: int | None = None

    def encode(self) -> bytes:
        """Return head and body as bytes, the body cut to `sent_bytes`."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        lines = [f"HTTP/1.1 {self.status} {phrase}", f"Content-Type: {self.content_type}"]
        lines += [f"Content-Length: {len(self.body)}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join((*lines, "", "")).encode() + self.body[: self.sent_bytes]


def parse_head(head: bytes) -> HttpRequest | None:
    """Parse a request's head, up to and with its empty line; return None where it is none.

    Raw non-ASCII bytes are none: the exchange fails such handshakes; names must be percent-encoded.
    """
    try:
        request_line, *lines = head.decode("ascii").rstrip("\r\n").split("\r\n")
        method, target, version = request_line.split(" ")
    except ValueError:
        return None
    if not version.startswith("HTTP/1.") or len(target) > MOST_TARGET_BYTES:
        return None
    headers = (line.partition(":") for line in lines)
    return HttpRequest(method, target, {name.strip().lower(): value.strip() for name, _, value in headers})


def compact_json(value: object) -> str:
    """Return JSON without spaces, letters outside ASCII as they are: of REST bodies and of websocket messages."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
