"""One HTTP request at a time, in a thread: the main loop submits, is woken, and takes the answer."""

import os
import queue
import threading
from collections.abc import Callable
from importlib.metadata import version
from urllib.parse import urlsplit

import requests
import urllib3

from binance_streamer.config.endpoints import is_loopback
from binance_streamer.config.schema import NetworkConfig
from services.rest.answers import RestAnswer
from services.rest.connecting import ReachingAdapter
from services.runtime.clock import monotonic_s
from services.runtime.network.proxies import ProxyError, proxy_of
from services.runtime.network.reach import Reach

MAX_BODY_BYTES = 32 * 2**20
"""The largest answer, exchangeInfo, has 2 MB (2026-09-15)."""
_CHUNK_BYTES = 256 * 1024
_WHOLE_ANSWER_TIMEOUTS = 3
"""`request_timeout` bounds each silence; a body that trickles has so many of them in all."""


class Client:
    """A session with the exchange. Certificates are verified always; redirects are never followed."""

    def __init__(self, network: NetworkConfig, wall_ns: Callable[[], int]) -> None:
        os.environ.pop("SSLKEYLOGFILE", None)  # urllib3 would write the keys of the session there
        self._base = network.rest_url.rstrip("/")
        self._timeout = (network.connect_timeout, network.request_timeout)
        self._verify = network.ca_file or True
        self._wall_ns = wall_ns
        url = urlsplit(self._base)
        is_local = is_loopback(url.hostname or "")
        self._fault = "" if url.scheme == "https" or is_local else "refused: plain http beyond this machine"
        self._session = _HttpSession()
        self._session.trust_env = not is_local
        self._reach = Reach()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, ReachingAdapter(self._reach))
        self._proxies: dict[str, str] = {}
        try:
            proxy = proxy_of(self._base) if not self._fault else None
        except ProxyError as error:
            self._fault = str(error)
        else:
            self._proxies = {url.scheme: proxy.url} if proxy else {"no_proxy": "*"}
        self._session.auth = _no_credentials
        self._session.headers["User-Agent"] = f"binance-streamer/{version('binance-streamer')}"
        self._session.headers["Accept-Encoding"] = "identity"  # nothing small that becomes huge

    def get(self, path: str) -> RestAnswer:
        """Return the answer to a GET, whatever its status; where none came it has a `fault`, and nothing is raised.

        Blocks: `connect_timeout` bounds the connection, `request_timeout` each silence, three of them the whole body.
        """
        requested_ns = self._wall_ns()
        if self._fault:
            return RestAnswer(0, {}, b"", requested_ns, requested_ns, self._fault)
        try:
            with self._session.get(
                self._base + path,
                timeout=self._timeout,
                verify=self._verify,
                proxies=self._proxies,
                allow_redirects=False,
                stream=True,
            ) as response:
                body, fault = self._body(response.raw)
                if self._reach.latest:
                    self._reach.trust(self._reach.latest)
                return RestAnswer(response.status_code, response.headers, body, requested_ns, self._wall_ns(), fault)
        except (OSError, urllib3.exceptions.HTTPError) as error:  # requests' own errors are OSErrors
            if self._reach.latest:
                self._reach.doubt(self._reach.latest)
            return RestAnswer(0, {}, b"", requested_ns, self._wall_ns(), _shown(error))

    def close(self) -> None:
        """Close all connections to the exchange."""
        self._session.close()

    def _body(self, raw: urllib3.response.BaseHTTPResponse) -> tuple[bytes, str]:
        deadline_s = monotonic_s() + _WHOLE_ANSWER_TIMEOUTS * self._timeout[1]
        body = bytearray()
        while chunk := raw.read1(_CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return b"", f"more than {MAX_BODY_BYTES} bytes"
            if monotonic_s() > deadline_s:
                return b"", "the answer takes too long"
        return bytes(body), ""


class RequestThread:
    """The thread that waits for the exchange, so that nobody else does."""

    def __init__(self, get: Callable[[str], RestAnswer]) -> None:
        self.is_busy = False
        self._get = get
        self._paths: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[RestAnswer | None] = queue.SimpleQueue()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.Thread(target=self._run, name="http", daemon=True).start()

    def fileno(self) -> int:
        """Return a descriptor that is readable when an answer is there."""
        return self._event

    def submit(self, path: str) -> None:
        """Ask for this path; only one request may be under way."""
        assert not self.is_busy
        self.is_busy = True
        self._paths.put(path)

    def answer(self) -> RestAnswer:
        """Return the answer to what was submitted; call it once `fileno` is readable."""
        os.eventfd_read(self._event)
        self.is_busy = False
        answer = self._answers.get()
        if answer is None:
            raise RuntimeError("the thread that asks the exchange has ended; what ended it is on stderr")
        return answer

    def _run(self) -> None:
        try:
            while True:
                self._hand_over(self._get(self._paths.get()))
        finally:
            self._hand_over(None)  # a bug; nobody waits for ever, the process ends and is started again

    def _hand_over(self, answer: RestAnswer | None) -> None:
        self._answers.put(answer)
        os.eventfd_write(self._event, 1)


class _HttpSession(requests.Session):
    """Without redirects: requests parses where one leads, and reads its body, also when it is not to follow it."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None: a redirect is an answer like any other."""
        return None


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials; requests would look them up in the user's .netrc otherwise."""
    return request


def _shown(error: Exception) -> str:
    """Return the type of the error and the text of its first cause: what urllib3 and requests put around it is long."""
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    return f"{type(error).__name__}: {cause!s:.200}"
