"""A real headless Chromium, spoken to in its own protocol (CDP) over a websocket: no driver, no further dependency."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from websockets.sync.client import connect

from tests.support.waiting import eventually

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--no-default-browser-check", "--mute-audio", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


def chromium() -> str | None:
    """The program's path; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page in a Chromium of its own, with what it requested and what went wrong in it."""

    def __init__(self) -> None:
        program = chromium()
        assert program is not None
        self._number = 0
        self._loaded = False
        self._disturbed = False
        self.requests: list[str] = []
        self.errors: list[str] = []
        with contextlib.ExitStack() as started:
            profile = Path(tempfile.mkdtemp(prefix="bs-chromium-", dir="/tmp"))
            started.callback(shutil.rmtree, profile, ignore_errors=True)
            process = subprocess.Popen(
                [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            started.callback(_end, process)
            self._connection = started.enter_context(
                connect(_page_url(profile), proxy=None, max_size=None, compression=None)
            )
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.command(f"{domain}.enable")
            self._started = started.pop_all()

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer to a command of its protocol; what it reports meanwhile is kept."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                answer: dict[str, Any] = message["result"]
                return answer
            self._keep(message)

    def _keep(self, message: Mapping[str, Any]) -> None:
        found = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(found["request"]["url"])
            case "Runtime.exceptionThrown":
                details = found["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            case "Runtime.consoleAPICalled" if found["type"] in ("error", "warning", "assert"):
                self.errors.append(" ".join(str(argument.get("value")) for argument in found["args"]))
            case "Log.entryAdded" if "net::ERR_NETWORK_CHANGED" in found["entry"]["text"]:
                self._disturbed = True  # somebody started or stopped containers, say
            case "Log.entryAdded" if found["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{found['entry']['text']} {found['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        """Load a page, and wait until it is there; again where a change of the machine's network interrupts it."""
        self._disturbed = True
        while self._disturbed:
            self._loaded = self._disturbed = False
            self.command("Page.navigate", url=url)
            while not self._loaded:
                self._keep(json.loads(self._connection.recv(timeout=60)))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited; AssertionError with its exception."""
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The visible text of the first element, with plain spaces; empty where there is none or it is not shown."""
        shown = "(one) => (one?.getClientRects().length ? one.innerText ?? one.textContent : '')"
        return str(self.evaluate(f"({shown})(document.querySelector({json.dumps(selector)}))")).replace("\xa0", " ")

    def title(self) -> str:
        """The page's title."""
        return str(self.evaluate("document.title"))

    def count(self, selector: str) -> int:
        """Return the number of elements that match and are shown."""
        shown = "(one) => one.getClientRects().length > 0"
        return int(self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].filter({shown}).length"))

    def click(self, selector: str) -> None:
        """A click of the mouse into the middle of the first such element."""
        found = self.evaluate(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            " one.scrollIntoView({block: 'center'}); const box = one.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Put the focus into a field, and replace what stands in it as a keyboard would."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self.command("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press and release a key that is named as in the browser's events: `ArrowDown`, `Enter`."""
        codes = {"Enter": 13, "PageDown": 34, "End": 35, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}
        for kind in ("rawKeyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key])

    def resize(self, width: int, height: int, *, mobile: bool = False, scale: float = 1) -> None:
        """The size of the screen in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str) -> None:
        """A light or a dark screen."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as PNG, with what lies below the edge of the screen."""
        answer = self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """End the program with all of its processes."""
        self._started.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _page_url(profile: Path) -> str:
    """Return the address at which the browser listens for commands to its page."""
    port_file = profile / "DevToolsActivePort"

    def written() -> list[str]:
        return port_file.read_text().split() if port_file.exists() else []

    port = int(eventually(written, 60, what="Chromium listens")[0])

    def page() -> str | None:
        targets = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=20).json()
        urls = [str(target["webSocketDebuggerUrl"]) for target in targets if target["type"] == "page"]
        return urls[0] if urls else None

    return eventually(page, what="Chromium has a page")


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
