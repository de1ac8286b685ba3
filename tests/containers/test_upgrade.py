"""A new image under a running stack: a symbol that has a standby is recorded without a hole meanwhile."""

import shutil
import time
from pathlib import Path

import pytest

from binance_streamer.cli.supervisor.compose_file import compose_text
from tests.chaos.oracle import Rules
from tests.chaos.pipeline import Down
from tests.chaos.recording import judged
from tests.chaos.runs import wrongs
from tests.containers.stack import Stack
from tests.support.data import REPOSITORY
from tests.support.engine import Engine, container_engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SYMBOL = "BTCUSDT"
PAIR = (f"demo-standby-{SYMBOL}", f"demo-ingest-{SYMBOL}")
OTHERS = ("demo-bus", "demo-writer", "demo-rest")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's files in a folder of their own, in which the symbol has a standby."""
    found = tmp_path / "stack"
    shutil.copytree(REPOSITORY / "config", found / "config")
    path = found / "config" / "demo.yaml"
    text = path.read_text(encoding="utf-8").replace(
        f"- symbol: {SYMBOL}\n", f"- symbol: {SYMBOL}\n        standby: true\n"
    )
    path.write_text(text, encoding="utf-8")
    (found / "docker-compose.yml").write_text(compose_text(path), encoding="utf-8")
    return found


def build_next(engine: Engine, image: str, place: Path) -> str:
    """Build another image of the same code, and return its name."""
    place.mkdir()
    (place / "Dockerfile").write_text(f"FROM {image}\nLABEL next=yes\n", encoding="utf-8")
    engine.docker("build", "--quiet", "--tag", f"{image}-next", place)
    return f"{image}-next"


def renew(stack: Stack, *services: str) -> None:
    """Do what `docker compose up -d --no-deps --wait` does; the first version of compose cannot wait."""
    stack.compose("up", "--detach", "--no-build", "--no-deps", *services)
    stack.wait_healthy()


def test_the_pair_of_a_symbol_is_renewed_one_after_the_other_without_a_gap(folder: Path, tmp_path: Path) -> None:
    with container_engine() as engine:
        stack = Stack(engine, folder)
        engine.build(stack.image)
        new = build_next(engine, stack.image, tmp_path / "next")
        with stack:
            stack.compose("up", "--detach", "--no-build")
            stack.wait_healthy()
            before = {name: one["Id"] for name, one in stack.containers().items()}
            old, stack.image = stack.image, new
            try:
                for name in PAIR:
                    renew(stack, name)
                renew(stack, *OTHERS)
                down_ns = time.time_ns()
                renew(stack, "demo-ingest-ETHUSDT")
                down = Down("ETHUSDT", down_ns, time.time_ns())
                (image,) = engine.inspect(new)
                renewed = {name for name, one in stack.containers().items() if one["Image"] == image["Id"]}
                assert renewed == {*PAIR, *OTHERS, "demo-ingest-ETHUSDT"}
                assert not {before[name] for name in renewed} & {one["Id"] for one in stack.containers().values()}
                stack.simulate("pause")
                stack.wait_recorded()
                stack.compose("stop")
                stack.fetch(tmp_path)
            finally:
                engine.docker("image", "rm", "--force", old)
    streams = list(
        judged(tmp_path / "demo" / "tape", tmp_path / "demo" / "data", Rules(any_order=True, times_may_differ=True))
    )
    wrong = {stream.stream.name: texts for stream in streams if (texts := wrongs(stream, [down]))}
    assert not wrong, wrong
    holes = {stream.stream.symbol for stream in streams if stream.verdict.gaps or stream.verdict.repaired}
    assert holes == {"ETHUSDT"}, "the one without a standby"
    assert all(stream.verdict.recorded > 10 for stream in streams)
