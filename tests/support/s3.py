"""A folder served as an S3 bucket on loopback: lists, whole objects and ranges of them, read-only; counts what is read.

Enough of the protocol for the object stores of polars and deltalake. Signatures are not looked at. It is a process of
its own, because deltalake keeps Python's lock while it waits for an answer.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen
from xml.sax.saxutils import escape

BUCKET = "lake"


READ = "/.read"
"""Answers the bytes that were read of each object since the last time, as JSON."""


class Bucket:
    """A served bucket, seen by who reads it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which object stores find this bucket."""
        return {
            "AWS_ENDPOINT_URL": self._url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
        }

    def take_read(self) -> dict[str, int]:
        """The bytes that were read of each object since the last call."""
        with urlopen(f"{self._url}{READ}", timeout=60) as answer:
            found: dict[str, int] = json.load(answer)
            return found


class _Server(ThreadingHTTPServer):
    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.folder = folder
        self.read: Counter[str] = Counter()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""

    def _answer(self) -> None:
        if self.path == READ:
            self._send(200, json.dumps(self.server.read).encode(), {})
            self.server.read.clear()
            return
        url = urlsplit(self.path)
        key = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        if not key:
            query = parse_qs(url.query)
            self._send(200, _listing(self.server.folder, query.get("prefix", [""])[0], query), {})
            return
        path = self.server.folder / key
        if not path.is_file():
            self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", {})
            return
        content = path.read_bytes()
        headers = {"ETag": f'"{len(content)}"', "Last-Modified": "Mon, 23 Nov 2026 00:00:00 GMT"}
        wanted = self.headers.get("Range", "")
        part = content
        if wanted:
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first = int(start) if start else len(content) - int(end)
            last = min(int(end), len(content) - 1) if start and end else len(content) - 1
            part = content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        if self.command == "GET":
            self.server.read[key] += len(part)
        self._send(206 if wanted else 200, part, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _listing(folder: Path, prefix: str, query: dict[str, list[str]]) -> bytes:
    """The answer of ListObjectsV2, all in one; with a delimiter, folders instead of what is below them."""
    keys = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    keys = [key for key in keys if key.startswith(prefix) and key > query.get("start-after", [""])[0]]
    folders: set[str] = set()
    if query.get("delimiter"):
        folders = {f"{prefix}{key[len(prefix) :].partition('/')[0]}/" for key in keys if "/" in key[len(prefix) :]}
        keys = [key for key in keys if "/" not in key[len(prefix) :]]
    objects = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-23T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;1&quot;</ETag><Size>{(folder / key).stat().st_size}</Size></Contents>"
        for key in keys
    )
    prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
        f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(keys)}</KeyCount><MaxKeys>100000</MaxKeys>"
        f"<IsTruncated>false</IsTruncated>{objects}{prefixes}</ListBucketResult>"
    ).encode()


@contextmanager
def served(folder: Path) -> Iterator[Bucket]:
    """Serve a folder as the bucket `BUCKET`."""
    command = [sys.executable, "-m", __name__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Bucket(int(process.stdout.readline()))
        finally:
            process.kill()


if __name__ == "__main__":
    with _Server(Path(sys.argv[1])) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
