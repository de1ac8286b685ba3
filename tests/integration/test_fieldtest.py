"""`fieldtest` as a user runs it: an honest exchange contradicts nothing, and each lie of the simulator is named."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, command_line
from tests.support.waiting import eventually

_MARKET = ("--symbols", "BTCUSDT,LTCUSDT,币安人生USDT", "--rate", "60", "--weight-limit", "24000")
AGG, DEPTH, KLINE, MARK = "btcusdt@aggTrade", "btcusdt@depth@0ms", "btcusdt@kline_1m", "btcusdt@markPrice@1s"
_ALWAYS = 1_000_000


class Field:
    """A simulator, and a field test of it."""

    def __init__(self, place: Path, *, minutes: float, options: Sequence[str] = (), lies: Sequence[str] = ()) -> None:
        """`lies` are told from before the first connection on."""
        place.mkdir()
        self.simulator = Simulator(place, *_MARKET, *options)
        for lie in lies:
            self.simulator.command(lie)
        self._folder = place / "out"
        config = write_config(place, {"BTCUSDT": ["aggTrade"]}, self.simulator.urls)
        self._program = command_line(
            *("fieldtest", "-c", config, "--minutes", str(minutes), "--to", self._folder),
            output=place / "fieldtest.out",
        )

    def __enter__(self) -> "Field":
        return self

    def __exit__(self, *_: object) -> None:
        self._program.__exit__(None, None, None)
        self.simulator.__exit__(None, None, None)

    def lie_once(self, step: str, *lies: str) -> None:
        """Tell these lies once the field test says that it takes this step."""
        eventually(lambda: self._ended() or step in self._program.text(), 120, what=step)
        for lie in lies:
            self.simulator.command(lie)

    def wait(self) -> int:
        """Return the exit code."""
        return self._program.wait(400)

    def text(self) -> str:
        """Everything that the command has printed."""
        return self._program.text()

    def report(self) -> str:
        """Return the report in the file."""
        return (self._folder / "report.md").read_text(encoding="utf-8")

    def contradicted(self) -> dict[str, str]:
        """Return the evidence of what contradicts, by number."""
        lines = re.findall(r"^- \*\*(\w+)\*\* ([^\n]+)$", self.report(), re.MULTILINE)
        return dict(lines)

    def answers(self) -> dict[str, str]:
        """Return all answers by number."""
        return dict(re.findall(r"^\| (\d+\w?) \| [^|]+ \| \**([\w ]+?)\** \|", self.report(), re.MULTILINE))

    def _ended(self) -> bool:
        assert self._program.exit_code is None, self._program.text()
        return False


def test_an_honest_exchange_contradicts_nothing_and_a_liar_is_found(place: Path) -> None:
    lie = f"stamp {_ALWAYS} {AGG}"
    with (
        Field(place / "honest", minutes=0.2) as honest,
        Field(place / "liar", minutes=0.2, lies=[lie]) as liar,
    ):
        assert honest.wait() == 0, honest.text()
        assert liar.wait() == 1, liar.text()
        assert honest.contradicted() == {}
        assert honest.simulator.stats()["attempts"] <= 30  # a tenth of 300 in five minutes
        assert list(liar.contradicted()) == ["3"]
    assert "aggtrade" in liar.contradicted()["3"]
    assert "in E" in liar.contradicted()["3"]
    confirmed = {number for number, answer in honest.answers().items() if answer == "confirmed"}
    assert {"1a", "1b", "2a", "3", "4", "8a", "8b", "8c", "10", "12a", "12b", "16a", "16b", "16c", "19"} <= confirmed


def test_without_an_exchange_it_could_not_run(place: Path) -> None:
    config = write_config(
        place, {"BTCUSDT": ["aggTrade"]}, {"websocket_url": "ws://127.0.0.1:1", "rest_url": "http://127.0.0.1:1"}
    )
    with command_line("fieldtest", "-c", config, "--to", place / "out", output=place / "out.txt") as program:
        assert isinstance(program, Program)
        assert program.wait() == 2
    assert "127.0.0.1" not in program.text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "named", "lie"),
    [
        ("1a", DEPTH, f"silent {DEPTH}"),
        ("1b", "status 400", "unlisted 400"),
        ("3", "E", f"stamp {_ALWAYS} {MARK}"),
        ("11a", "p streamed", f"rest differ p {_ALWAYS}"),
        ("12a", DEPTH, f"unchained {_ALWAYS} {DEPTH}"),
        ("12c", "older", f"rest stale {_ALWAYS}"),
        ("13a", "another unit", f"microseconds {_ALWAYS} {AGG}"),
        ("14", "zz", f"unknown-field {AGG} {_ALWAYS}"),
        ("16a", AGG, "routes any"),
        ("16b", AGG, "routes any"),
    ],
)
def test_a_lie_that_is_always_told_is_named(place: Path, number: str, named: str, lie: str) -> None:
    with Field(place / "liar", minutes=0.7, lies=[lie]) as liar:
        assert liar.wait() == 1, liar.text()
        assert named in liar.contradicted()[number], liar.report()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "named", "step", "lie"),
    [
        ("7", "429 without Retry-After", "recording", f"rest 429 {_ALWAYS} none"),
        ("8a", AGG, "reconnecting", f"idjump {AGG} -5000"),
        ("8b", AGG, "reconnecting", f"drop 3 {AGG}"),
        ("8c", "sequence", "reconnecting", "drop 3 btcusdt@trade"),
        ("16c", "another symbol", "reconnecting", f"wrong-symbol {AGG}"),
    ],
)
def test_a_lie_that_is_told_in_between_is_named(place: Path, number: str, named: str, step: str, lie: str) -> None:
    with Field(place / "liar", minutes=0.7) as liar:
        liar.lie_once(step, lie)
        assert liar.wait() == 1, liar.text()
        assert named in liar.contradicted()[number], liar.report()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "named", "options"),
    [
        ("2a", "FIN after", ("--lifetime-s", "12")),
        ("17", "a ping after", ("--ping-interval-s", "3")),
    ],
)
def test_a_server_that_ends_or_pings_too_early_is_named(
    place: Path, number: str, named: str, options: Sequence[str]
) -> None:
    with Field(place / "liar", minutes=0.7, options=options) as liar:
        assert liar.wait() == 1, liar.text()
        assert named in liar.contradicted()[number], liar.report()


@pytest.mark.slow
def test_updates_that_are_hidden_in_the_chain_are_named_by_the_books(place: Path) -> None:
    """The chain fits; an audit finds levels that differ, or `verify` a book whose best prices cross."""
    with Field(place / "liar", minutes=0.9) as liar:
        liar.lie_once("probing", f"hide 150 {DEPTH}")
        assert liar.wait() == 1, liar.text()
        found = liar.contradicted()
        assert "audits failed" in found.get("12b", "") or "book: depth" in found.get("20", ""), liar.report()
        assert "12a" not in found


@pytest.mark.slow
def test_a_bar_that_closes_twice_is_named(place: Path) -> None:
    with Field(place / "liar", minutes=1.3, lies=[f"reclose {_ALWAYS} {KLINE}"]) as liar:
        assert liar.wait() == 1, liar.text()
        assert "closed twice with other values" in liar.contradicted()["18"], liar.report()


@pytest.mark.slow
def test_an_honest_exchange_confirms_all_that_two_minutes_can_show(place: Path) -> None:
    with Field(place / "honest", minutes=2.5) as honest:
        assert honest.wait() == 0, honest.text()
        assert honest.simulator.stats()["attempts"] <= 30
        unseen = {number for number, answer in honest.answers().items() if answer == "not seen"}
    assert unseen == {"5", "7", "9", "15", "17"}
