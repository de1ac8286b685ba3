"""The process that reads recorded files for clients: started when it is needed, one question at a time.

| state | becomes | when |
|---|---|---|
| none | busy | somebody asks |
| busy | idle | its answer is whole |
| busy | none: killed | the client is gone, or it has taken too long; none of its memory stays |
| idle | busy | somebody asks: the libraries are loaded already |
| idle | none: killed | nobody has asked for `IDLE_S` |

All of it runs in the event loop of the HTTP thread, and is never waited for by the thread that hears the bus.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence

import msgspec

from binance_streamer.deploy.interpreter import module_command
from services.monitor.reader.answers import ApiQuestion

MAX_WAITING = 8
"""A page asks five questions at once when it is opened; the others of many are refused, and asked again."""
IDLE_S = 60.0
"""Loading the libraries takes a second, on a busy machine many; a user who looks around shall not wait each time."""
_PIECE_BYTES = 256 * 1024
"""The pipe's buffer here; the process writes no faster than the client reads."""
_LENGTH_BYTES = 4
_ONE_CORE = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""The other cores are for recording."""


class ReaderBusyError(Exception):
    """So many questions wait already that one more would wait too long."""


class ReaderEndedError(Exception):
    """The process ended before its answer did: it was refused memory, or has a bug, which its stderr tells."""


class ReaderProcess:
    """Asks `python -m services.monitor.reader`, and kills it where its answer is not wanted any more."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._turn = asyncio.Lock()
        self.waiting = 0
        """Questions that have been asked and not answered yet, the one that is being answered included."""
        self._child: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Future[None]] = set()

    async def ask(self, question: ApiQuestion) -> AsyncGenerator[bytes, None]:
        """Yield the pieces of an answer, its head first. Close it early and the process is killed.

        Raises `ReaderBusyError` where too many wait, `ReaderEndedError` where the answer does not come to its end.
        """
        if self.waiting >= MAX_WAITING:
            raise ReaderBusyError
        self.waiting += 1
        try:
            async with self._turn:
                is_whole = False
                try:
                    child_in, child_out = await self._started()
                    child_in.write(msgspec.json.encode(question) + b"\n")
                    while length := int.from_bytes(await child_out.readexactly(_LENGTH_BYTES)):
                        yield await child_out.readexactly(length)
                    is_whole = True
                finally:
                    self._let_go(is_whole=is_whole)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ReaderEndedError from error
        finally:
            self.waiting -= 1

    def _let_go(self, *, is_whole: bool) -> None:
        """Keep the process for a while behind a whole answer; one that is still at work is of no use."""
        if is_whole:
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.kill)
        else:
            self.kill()

    async def _started(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        """Return stdin and stdout of the idle process where there is one, else of a new one."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._child is None or self._child.returncode is not None:
            self._child = await asyncio.create_subprocess_exec(
                *module_command("services.monitor.reader", *self._arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_PIECE_BYTES,
                env={**os.environ, **_ONE_CORE},
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        return self._child.stdin, self._child.stdout

    def kill(self) -> None:
        """Kill the process, if there is one; the loop takes note of its end."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            ending = asyncio.ensure_future(_ended(self._child))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        self._child = None

    async def close(self) -> None:
        """Kill the process, and wait until it is gone: the loop is about to end."""
        if self._idle is not None:
            self._idle.cancel()
        self.kill()
        if self._ending:
            await asyncio.wait(self._ending)


async def _ended(child: asyncio.subprocess.Process) -> None:
    """Wait for the end of a killed process, which asyncio notices only once stdout has been read to its end."""
    assert child.stdout is not None
    while await child.stdout.read(_PIECE_BYTES):
        pass
    await child.wait()
