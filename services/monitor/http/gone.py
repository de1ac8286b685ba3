"""Ends the work for a client once it has closed its connection: nobody would take the answer."""

import asyncio
from collections.abc import Coroutine, MutableMapping
from typing import Any

from starlette.types import Receive


async def gone(receive: Receive) -> None:
    """Return once the client has closed its connection; everything else that it sends is ignored."""
    message: MutableMapping[str, Any] = {}
    while message.get("type") != "http.disconnect":
        message = await receive()


async def until_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do some work until it is done or the client is gone, and cancel it then; raises what the work raises."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
    await asyncio.wait([working])
    if not working.cancelled():
        working.result()
