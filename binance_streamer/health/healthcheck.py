"""`python -m binance_streamer.health.healthcheck -c FILE NAME` checks that one process does its work; for containers.

It waits for the process's status on the bus and judges it by `health.judge`. The exit code is 0 where nothing fails
(warnings are only printed), and 1 where something does, or where no status comes.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from binance_streamer.client.tap import Tap
from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import MembersFile
from binance_streamer.config.schema import Config
from binance_streamer.health import judge as health
from binance_streamer.health.problem import Problem
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.statuses import STANDBY, IngestStatus, Status, read_status

_PATIENCE_S = 10.0
"""Ten times the interval of status messages."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the problems of the process; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m binance_streamer.health.healthcheck", description=__doc__)
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, default=configuration.default_path())
    parser.add_argument("name", metavar="NAME", help="bus, writer, rest, orderbook, monitor, ingest-BTCUSDT")
    given = parser.parse_args(arguments)
    try:
        config = MembersFile(configuration.load(given.config)).config
        status = _newest_status(config, given.name) if given.name in health.processes(config) else None
    except configuration.ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return configuration.EXIT_CODE
    except WireError as error:
        problems = [Problem("process", "failure", given.name, str(error))]
    else:
        problems = problems_of(config, given.name, status)
    for problem in problems:
        print(f"{problem.severity}: {problem.what}: {problem.why}")  # noqa: T201
    return int(any(problem.severity == "failure" for problem in problems))


def problems_of(config: Config, name: str, status: Status | None) -> list[Problem]:
    """Judge one process by its newest status, None where none came; problems of other processes are left out."""
    if name not in health.processes(config):
        why = "not a process of this configuration (a share of the order books is none): it is not judged"
        return [Problem("process", "failure", name, why)]
    if status is None:
        why = f"no status within {_PATIENCE_S:.0f} s: it stands still, or does not reach the bus"
        return [Problem("process", "failure", name, why)]
    found = health.judge(config, {name: health.ReceivedStatus(status, 0.0)}, 0.0).problems
    if isinstance(status, IngestStatus) and status.state == STANDBY and not status.is_warm:
        why = "it does not receive every stream yet: the other worker must not be stopped"
        return [Problem("process", "failure", name, why)]
    return [problem for problem in found if problem.condition != "process" or problem.what == name]


def _newest_status(config: Config, name: str) -> Status | None:
    endpoints = config.endpoints
    topic = f"status.{name}."
    with Tap(endpoints.bus_subscribe, [topic], curve_directory=endpoints.curve_directory) as tap:
        deadline_s = time.monotonic() + _PATIENCE_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            message = tap.receive(left_s)
            if message is not None and not message.topic.variant:
                return read_status(message.data)
    return None


if __name__ == "__main__":
    sys.exit(main())
