"""The writer on disks that are full, read-only or taken away: mounts in a namespace of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgpack
import pytest
import zmq

from tests.integration.test_writer import Bench
from tests.support.processes import Program
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually


class MountedBench(Bench):
    """The data directory is a small tmpfs that only the writer's namespace has; `inside` looks into it."""

    def __init__(self, place: Path, file_format: str) -> None:
        super().__init__(place, storage={"file_format": file_format, "compress_interval": 0.5})
        self.bus = self.context.socket(zmq.XSUB)
        Path(self.config.endpoints.run_directory).mkdir(mode=0o700)
        self.bus.bind(self.config.endpoints.bus_publish)
        self.bus.send(b"\x01status.writer.")

    def mounted_writer(self, size: str) -> Program:
        self.data.mkdir(exist_ok=True)
        script = f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$1" -m services.writer -c "$2"'
        command = ["unshare", "-Urm", "sh", "-c", script, str(self.data), sys.executable, str(self.config_path)]
        program = Program(command, self.place / "writer.out")
        self.programs.append(program)
        return program

    def inside(self, program: Program) -> Path:
        return Path(f"/proc/{program.pid}/root{self.data}")

    def remount(self, program: Program, options: str) -> None:
        enter = ["nsenter", "-t", str(program.pid), "-U", "-m", "--preserve-credentials"]
        subprocess.run([*enter, "mount", "-o", options, str(self.data)], check=True)

    def state(self) -> str:
        """The state in the newest status."""
        found = ""
        while self.bus.poll(0):
            _, frame = self.bus.recv_multipart()
            found = msgpack.unpackb(frame)[1]["state"]
        return found

    def close(self) -> None:
        self.bus.close()
        super().close()


@pytest.fixture(params=["csv", "csv.zst"])
def bench(place: Path, request: pytest.FixtureRequest) -> Iterator[MountedBench]:
    probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(place)]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespaces here")
    found = MountedBench(place, request.param)
    with closing(found):
        yield found


def _fill(directory: Path) -> Path:
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def _ids(directory: Path, stem: str = "aggtrade") -> list[int]:
    return [int(row["agg_trade_id"]) for row in recorded_rows(directory, "BTCUSDT", stem)]


def test_recording_resumes_when_a_full_disk_has_room_again(bench: MountedBench) -> None:
    writer = bench.mounted_writer("32m")
    peer = bench.peer()
    peer.emit_both(range(1, 101))
    peer.deliver()
    inside = bench.inside(writer)
    for turn in range(2):
        filler = _fill(inside)
        start = 101 + 4000 * turn
        peer.emit_both(range(start, start + 4000))
        eventually(lambda: peer.pumped(0.2) and bench.state() == "disk full", what="disk full")
        assert _ids(inside)[:100] == list(range(1, 101))
        filler.unlink()
        eventually(lambda: peer.pumped(0.2) and bench.state() == "recording", what="recording")
        peer.deliver()
        assert _ids(inside) == list(range(1, start + 4000))
        assert not recorded_rows(inside, "BTCUSDT", "gap")
    assert writer.exit_code is None
    assert writer.stop() == 0


def test_a_writer_that_starts_on_a_full_disk_waits_for_room(bench: MountedBench) -> None:
    bench.data.mkdir()
    writer = bench.mounted_writer("1m")
    peer = bench.peer()
    peer.emit_both(range(1, 101))
    eventually(lambda: peer.pumped(0.2) and bench.state() == "disk full", what="disk full")
    inside = bench.inside(writer)
    bench.remount(writer, "remount,size=32m")
    peer.deliver()
    assert _ids(inside) == list(range(1, 101))
    assert writer.stop() == 0


def test_a_read_only_disk_is_waited_for(bench: MountedBench) -> None:
    writer = bench.mounted_writer("32m,ro")
    peer = bench.peer()
    peer.emit_both(range(1, 101))
    eventually(lambda: peer.pumped(0.2) and "Read-only" in writer.text(), what="it says what it waits for")
    bench.remount(writer, "remount,rw")
    peer.deliver()
    assert _ids(bench.inside(writer)) == list(range(1, 101))
    assert writer.stop() == 0


def test_a_folder_that_is_a_link_is_not_followed_but_said(bench: MountedBench) -> None:
    writer = bench.mounted_writer("32m")
    peer = bench.peer()
    peer.emit_both(range(1, 101))
    peer.deliver()
    inside = bench.inside(writer)
    (bench.place / "elsewhere").mkdir()
    (inside / "ETHUSDT").symlink_to(bench.place / "elsewhere")
    peer.emit_both(range(1, 11), "ETHUSDT")
    eventually(lambda: peer.pumped(0.2) and bench.state().startswith("cannot write"), what="the state says it")
    assert not list((bench.place / "elsewhere").iterdir())
    (inside / "ETHUSDT").unlink()
    peer.deliver()
    assert len(recorded_rows(inside, "ETHUSDT", "aggtrade")) == 10
    assert _ids(inside) == list(range(1, 101))
    assert writer.exit_code is None
    assert writer.stop() == 0
