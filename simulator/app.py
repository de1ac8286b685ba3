"""The simulator as a process: one port, one event loop, one market."""

import asyncio
import gc
import signal
import ssl
import sys
from collections.abc import Sequence
from typing import Any

from simulator.control.commands import Commands
from simulator.control.socket import serve_control
from simulator.exchange import Exchange
from simulator.options import Options
from simulator.replay.replay import Replay
from simulator.synthetic import SyntheticMarket


async def serve(options: Options) -> None:
    """Run until SIGTERM, SIGINT or the command `quit`."""
    loop = asyncio.get_running_loop()
    exchange = Exchange(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, exchange.stopped.set)
    tls = _tls(options)
    server = await loop.create_server(exchange.new_client, options.host, options.port, ssl=tls, backlog=1024)
    control = await serve_control(options.control, Commands(exchange).execute) if options.control else None
    _say(f"listening {server.sockets[0].getsockname()[1]}")
    gc.collect()
    gc.freeze()  # books and rates live as long as the process; full collections need not visit them
    running = (exchange.keep_limits(), _play(exchange.market), exchange.stopped.wait())
    tasks: list[asyncio.Task[Any]] = [loop.create_task(one) for one in running]
    try:
        # a task that ends before `stopped` is set has failed: the replay and the market run for ever
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _stop(exchange, [server, *([control] if control else [])], tasks)


async def _stop(exchange: Exchange, servers: list[asyncio.Server], tasks: Sequence["asyncio.Task[Any]"]) -> None:
    for server in servers:
        server.close()
    for client in list(exchange.clients):
        client.transport.abort()
    failed = [task for task in tasks if task.done() and not task.cancelled() and task.exception()]
    for task in tasks:
        task.cancel()
    await asyncio.sleep(0)
    exchange.tape.close()
    if exchange.options.control:
        exchange.options.control.unlink(missing_ok=True)
    for task in failed:
        task.result()


async def _play(market: SyntheticMarket | Replay) -> None:
    """Runs the market. After a replay the exchange keeps serving."""
    if isinstance(market, Replay):
        if market.contents.skipped:
            sys.stderr.write(f"simulator: streams not replayed: {dict(market.contents.skipped)}\n")
        await market.run()
        _say(f"replay finished {market.messages} messages")
        await asyncio.Event().wait()
    else:
        await market.run()


def _tls(options: Options) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
