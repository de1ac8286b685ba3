"""After the end: whether everything that was journalled is in the files."""

import subprocess
from pathlib import Path

from binance_streamer.deploy.interpreter import module_command


def unwritten(config_path: Path) -> list[str]:
    """A line per producer whose journal holds records that the writer never made durable; empty where all are."""
    command = module_command("services.writer.audit", "-c", str(config_path))
    done = subprocess.run(  # noqa: S603 (our own command line)
        command, capture_output=True, encoding="utf-8", errors="replace", check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).strip().splitlines() or [f"the audit ended with {done.returncode}"]
