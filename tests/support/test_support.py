"""The oracles that other tests trust are proven on the recordings' own golden values."""

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support import recorded
from tests.support.books import GoldenBook
from tests.support.data import captured, golden, market_data
from tests.support.differences import DifferenceError, apply_difference
from tests.support.processes import Program, alive, kill_all_of
from tests.support.waiting import eventually


def test_eventually_returns_the_first_true_answer() -> None:
    answers = iter([0, "", 7])

    assert eventually(lambda: next(answers), deadline_s=5, every_s=0) == 7


def test_eventually_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match="not within 0 s: the file; the last answer was False"):
        eventually(lambda: False, deadline_s=0, what="the file")


HALF, REST = "a,b\n1,2\n3", ",4\n"


def test_a_row_that_is_being_written_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "BTCUSDT" / "trade_BTCUSDT_20261122.csv"
    path.parent.mkdir()
    path.write_text(HALF)
    monkeypatch.setattr("time.sleep", lambda _: path.write_text(HALF + REST))
    assert recorded.recorded_rows(tmp_path, "BTCUSDT", "trade") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_half_a_row_that_stays_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "BTCUSDT" / "trade_BTCUSDT_20261122.csv"
    path.parent.mkdir()
    path.write_text(HALF)
    monkeypatch.setattr(recorded, "_PATIENCE_S", 0.0)
    with pytest.raises(AssertionError, match="ends in half a row"):
        recorded.recorded_rows(tmp_path, "BTCUSDT", "trade")


_FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *sys.argv[1:]], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["named", "worked in"])
def test_what_runs_in_a_folder_is_killed_whatever_session_it_is_in(place: Path, how: str) -> None:
    named, working = ([str(place / "config.yaml")], Path("/")) if how == "named" else ([], place)
    command = [sys.executable, "-c", _FAMILY, *named]
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)", str(place.parent / "another")]
    with (
        Program(sleeper, Path(os.devnull)) as stranger,
        subprocess.Popen(command, cwd=working, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent,
    ):
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert kill_all_of(place) == sorted([parent.pid, child])
        assert parent.wait() == -signal.SIGKILL
        assert not alive(child)
        assert stranger.exit_code is None
        assert kill_all_of(place) == []


DIFFERENCE = """\
--- a/one.txt
+++ b/one.txt
@@ -2,3 +2,3 @@ heading
 b
-c
+C

@@ -9,1 +9,2 @@
 e
+f
--- /dev/null
+++ b/folder/two.txt
@@ -0,0 +1,2 @@
+x
+y
"""


def test_a_difference_changes_and_makes_files(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a\nb\nc\n\nd\ne\n")
    apply_difference(DIFFERENCE, tmp_path)
    assert (tmp_path / "one.txt").read_text() == "a\nb\nC\n\nd\ne\nf\n"
    assert (tmp_path / "folder" / "two.txt").read_text() == "x\ny\n"


@pytest.mark.parametrize(("content", "times"), [("a\nbb\nc\n\n", 0), ("b\nc\n\nb\nc\n\n", 2)])
def test_a_difference_that_does_not_fit_is_refused(tmp_path: Path, content: str, times: int) -> None:
    (tmp_path / "one.txt").write_text(content)
    with pytest.raises(DifferenceError, match=rf"one\.txt: stands there {times} times, not once:\nb\nc\n"):
        apply_difference(DIFFERENCE, tmp_path)
    assert (tmp_path / "one.txt").read_text() == content


def test_the_golden_book_reproduces_the_digests_of_a_recording() -> None:
    folder = market_data("usdm-4sym-20210722")
    updates: dict[str, list[dict[str, Any]]] = {}
    books: dict[str, GoldenBook] = {}
    for message in captured(folder / "capture.gz"):
        event = json.loads(message.event)
        if message.name.startswith("/fapi/v1/depth"):
            symbol = message.name.partition("symbol=")[2].partition("&")[0]
            books[symbol] = GoldenBook(event["lastUpdateId"], _levels(event["bids"]), _levels(event["asks"]))
        elif "@depth" in message.name:
            updates.setdefault(event["s"], []).append(event)
    for symbol, expected in golden(folder)["books"].items():
        for event in updates[symbol]:
            books[symbol].update(event["u"], _levels(event["b"]), _levels(event["a"]))
        assert (books[symbol].updates_applied, books[symbol].final_book, books[symbol].chain_digest) == (
            expected["updates_applied"],
            expected["final_book"],
            expected["chain_digest"],
        )


def _levels(pairs: list[list[str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(quantity)) for price, quantity in pairs]
