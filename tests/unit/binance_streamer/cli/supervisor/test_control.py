"""A supervisord whose socket is gone is found among the processes, and no other one is taken for it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.cli.errors import CommandError
from binance_streamer.cli.supervisor.control import HiddenSupervisordError, Process, Supervisor
from binance_streamer.deploy.supervisord import SOCKET_NAME, Site, text_of
from tests.support.waiting import eventually

WAIT = "import signal; signal.pause()"


@pytest.fixture
def state(place: Path) -> Path:
    site = Site(root=place, state=place / "state", python="python")
    site.state.mkdir()
    site.main.write_text(text_of(site, []), encoding="utf-8")
    return site.state


@pytest.fixture(params=["absolute", "relative", "linked"])
def lives(request: pytest.FixtureRequest, place: Path, state: Path) -> Iterator[int]:
    """A process with the command line of a supervisord of this folder."""
    (place / "link").symlink_to(place)
    main = {"absolute": place / "supervisord.conf", "linked": place / "link" / "supervisord.conf"}
    program = place / "supervisord"
    program.write_text(WAIT)
    words = [str(program), "-c", str(main.get(request.param, "supervisord.conf"))]
    with subprocess.Popen([sys.executable, "-S", *words], cwd=place) as process:
        # an exec is seen to succeed a moment before the kernel shows the new command line
        eventually(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes(), 20, what="its command line")
        yield process.pid
        process.kill()
    (place / "link").unlink()


def test_another_process_of_the_folder_is_none(state: Path) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", WAIT], cwd=state.parent) as process:
        assert Supervisor(state / SOCKET_NAME).hidden_pid() is None
        Supervisor(state / SOCKET_NAME).refuse_a_second()
        process.kill()


def test_one_that_lives_without_its_socket_is_refused_a_second(state: Path, lives: int) -> None:
    supervisor = Supervisor(state / SOCKET_NAME)
    assert supervisor.hidden_pid() == lives
    with pytest.raises(HiddenSupervisordError, match=f"pid {lives}"):
        supervisor.refuse_a_second()
    with pytest.raises(CommandError, match="binance-streamer stop"):
        supervisor.processes()


@pytest.mark.parametrize(
    ("state", "description", "exit_code", "line"),
    [
        ("RUNNING", "pid 7, uptime 0:00:09", 0, ""),
        ("STARTING", "", 0, ""),
        ("EXITED", "Nov 30 03:49 AM", 3, "bus ended with exit code 3; supervisord starts it again"),
        ("EXITED", "Nov 30 03:49 AM", -1, "bus ended by a signal; supervisord starts it again"),
        ("BACKOFF", "Exited too quickly (process log may have details)", 1,
         "bus ends as soon as it has started; see `binance-streamer logs bus`"),
        ("STOPPING", "", 0, "bus is stopping"),
        ("STOPPED", "Nov 30 03:49 AM", 0, "bus is stopped"),
        ("FATAL", "can't find command 'python'", 0, "bus is fatal: can't find command 'python'"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_run_is_told_in_a_sentence(
    state: str, description: str, exit_code: int, line: str
) -> None:
    assert Process("bus", state, 7, description, 1.0, exit_code).trouble == line
