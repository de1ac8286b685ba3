"""A real S3 server (moto) as a process on loopback, which can be told to fail in the middle of a request.

`./run --group s3 pytest …` installs it. It is a process of its own, because deltalake keeps Python's lock while it
waits for an answer, and because a server that is killed is one of the faults. What it holds is gone with it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.request import Request, urlopen

import pyarrow.fs as fs

BUCKET = "records"
LAKE = f"s3://{BUCKET}/usdm/lake"
_FAULTS = "/.faults"
_DEADLINE_S = 120

_Answer = Iterable[bytes]
_App = Callable[[dict[str, Any], Callable[..., Any]], _Answer]


class Fault(NamedTuple):
    """The next `times` requests of this method, with this text in path and query, fail.

    | action | |
    |---|---|
    | `cut` | half of the request is read, then the connection is closed |
    | `kill` | half of the request is read, then the server is killed |
    | `refuse` | it is answered with 503 |
    | `flip` | one byte of the answer is another |
    """

    action: str
    method: str
    text: str
    times: int = 1_000_000


class S3Server:
    """A running server with an empty bucket; a context. After a `kill` fault, `restart` begins an empty one."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self.restart()

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which object stores find the server."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def restart(self) -> None:
        """End the server if it runs, and start one on the same port."""
        self.close()
        command = [sys.executable, "-m", __name__, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.system.create_dir(BUCKET)

    @property
    def system(self) -> fs.S3FileSystem:
        """The server's files, to look at and to damage."""
        return fs.S3FileSystem(
            access_key="nobody",
            secret_key="nothing",
            region="us-east-1",
            scheme="http",
            endpoint_override=f"127.0.0.1:{self.port}",
            allow_bucket_creation=True,
        )

    def fail(self, *faults: Fault) -> None:
        """Fail from now on in these ways, and in no other."""
        content = json.dumps(faults).encode()
        with urlopen(Request(f"http://127.0.0.1:{self.port}{_FAULTS}", content, method="POST"), timeout=_DEADLINE_S):
            pass

    def objects(self) -> dict[str, int]:
        """Sizes of all objects that S3 shows, by their path below the lake; markers of folders are left out."""
        found = self.system.get_file_info(fs.FileSelector(BUCKET, recursive=True))
        root = f"{LAKE.removeprefix('s3://')}/"
        return {one.path.removeprefix(root): one.size for one in found if one.type == fs.FileType.File}

    def has_ended(self) -> bool:
        """Return True if the server was killed."""
        return self._process is None or self._process.poll() is not None

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Faulty:
    """moto's application behind the faults."""

    def __init__(self, app: _App) -> None:
        self._app = app
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> _Answer:
        if environ["PATH_INFO"] == _FAULTS:
            faults = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self._faults = [Fault(*fault) for fault in faults]
            start_response("200 OK", [])
            return [b""]
        action = self._taken(environ["REQUEST_METHOD"], f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        if action in ("cut", "kill"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            if action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError("cut as it was asked for")
        if action == "refuse":
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        answer = self._app(environ, start_response)
        if action != "flip":
            return answer
        content = b"".join(answer)
        return [bytes([content[0] ^ 1]) + content[1:]]

    def _taken(self, method: str, target: str) -> str:
        with self._lock:
            for number, fault in enumerate(self._faults):
                if fault.times > 0 and fault.method == method and fault.text in target:
                    self._faults[number] = fault._replace(times=fault.times - 1)
                    return fault.action
        return ""


def _serve(port: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    app = _Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, app, threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    _serve(int(sys.argv[1]))
