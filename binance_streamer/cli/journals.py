"""The journals of a recording: those of removed symbols, and those that are not written to the files yet."""

import subprocess
from pathlib import Path

from binance_streamer.config.schema import Config
from binance_streamer.config.symbols import decode_name
from binance_streamer.deploy.interpreter import module_command


def ownerless_journals(config: Config) -> list[str]:
    """Return the producers that have a journal and are not configured, sorted: workers of removed symbols.

    Nobody sends what such a journal still holds, until `apply` drains it.
    """
    owners = {"rest", "orderbook", *(f"ingest-{worker}" for worker in config.workers)}
    found = {decode_name(path.parent.name) for path in Path(config.storage.journal_directory).glob("*/*.journal")}
    return sorted(name for name in found - owners if not name.startswith("orderbook-"))  # shares, which nothing lists


def unwritten(config_path: Path) -> list[str]:
    """Return a line for each producer whose journal holds records that the writer never made durable.

    The writer's own audit says so, as a process; one that fails is a line, too.
    """
    command = module_command("services.writer.audit", "-c", str(config_path))
    done = subprocess.run(  # noqa: S603 (our own command line)
        command, capture_output=True, encoding="utf-8", errors="replace", check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).strip().splitlines() or [f"the audit ended with {done.returncode}"]
