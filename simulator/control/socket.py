"""The control socket: a Unix socket that takes one command a line, and answers `ack …` or `nack …`."""

import asyncio
from collections.abc import Callable
from pathlib import Path


async def serve_control(path: Path, execute: Callable[[str], str]) -> asyncio.Server:
    """Serve any number of commanders at `path`; each line is answered before the next one is read."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(execute(line.decode("utf-8", "replace").strip()).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the commander left, or the simulator stops
        finally:
            writer.close()

    path.unlink(missing_ok=True)
    return await asyncio.start_unix_server(converse, path)
