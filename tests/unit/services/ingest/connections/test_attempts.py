import fcntl
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.ingest.connections.attempts import ConnectBudget

S = 1_000_000_000
NOW_NS = 1_795_000_000 * S
LINE_BYTES = 29


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "connect_attempts"


def three_in_ten_seconds(path: Path) -> ConnectBudget:
    return ConnectBudget(path, limit=3, window_s=10.0)


def test_the_limit_is_given_out_at_once_and_then_one_by_one_as_attempts_leave_the_window(path: Path) -> None:
    budget = three_in_ten_seconds(path)
    assert [budget.take(NOW_NS + at * S) for at in (0, 1, 2, 3, 9, 10, 10, 11)] == [
        0.0,
        0.0,
        0.0,
        7.0,
        1.0,
        0.0,
        1.0,
        0.0,
    ]


def test_the_budget_holds_over_a_restart(path: Path) -> None:
    for _ in range(3):
        assert three_in_ten_seconds(path).take(NOW_NS) == 0.0
    assert three_in_ten_seconds(path).take(NOW_NS + 4 * S) == 6.0


def test_waiting_as_long_as_told_is_enough(path: Path) -> None:
    budget = three_in_ten_seconds(path)
    now_ns = NOW_NS
    for _ in range(50):
        if wait_s := budget.take(now_ns):
            now_ns += round(wait_s * 1e9)
            assert budget.take(now_ns) == 0.0
        now_ns += S // 7


def test_the_file_does_not_grow_for_ever(path: Path) -> None:
    budget = three_in_ten_seconds(path)
    for at in range(1000):
        budget.take(NOW_NS + at * S)
    assert path.stat().st_size == 3 * LINE_BYTES


def test_a_smaller_limit_counts_the_attempts_made_under_a_larger_one(path: Path) -> None:
    large = ConnectBudget(path, limit=5, window_s=10.0)
    assert [large.take(NOW_NS + at * S) for at in range(5)] == [0.0] * 5
    small = ConnectBudget(path, limit=2, window_s=10.0)
    assert small.take(NOW_NS + 5 * S) == 8.0  # until only the one made at 4 s is left
    assert small.take(NOW_NS + 13 * S) == 0.0


def test_a_clock_set_back_counts_as_attempts_made_now_and_never_blocks_for_longer_than_a_window(path: Path) -> None:
    budget = three_in_ten_seconds(path)
    assert [budget.take(NOW_NS) for _ in range(3)] == [0.0] * 3
    hour_ago_ns = NOW_NS - 3600 * S
    assert budget.take(hour_ago_ns) == 10.0
    assert budget.take(hour_ago_ns + 9 * S) == 1.0
    assert budget.take(hour_ago_ns + 10 * S) == 0.0
    assert budget.damaged_slots == 0


def test_a_stamp_of_another_process_a_little_ahead_is_left_alone(path: Path) -> None:
    budget = three_in_ten_seconds(path)
    assert [budget.take(NOW_NS + S // 2) for _ in range(3)] == [0.0] * 3
    assert budget.take(NOW_NS) == 10.5


@pytest.mark.parametrize("length", range(3 * LINE_BYTES + 1))
def test_a_file_torn_anywhere_keeps_what_is_readable(path: Path, length: int) -> None:
    for at in range(3):
        three_in_ten_seconds(path).take(NOW_NS + at * S)
    path.write_bytes(path.read_bytes()[:length])
    budget = three_in_ten_seconds(path)
    taken = [budget.take(NOW_NS + 5 * S) for _ in range(4)].count(0.0)
    assert taken == 3 - (length + LINE_BYTES - 1) // LINE_BYTES  # a torn line counts as an attempt
    assert budget.damaged_slots == (1 if length % LINE_BYTES else 0)


@pytest.mark.parametrize(
    "damage", [bytes(87), b"\xff" * 88, b"not a number at all\n" * 5, b"1" * 100_000, b"-5\n" * 50]
)
def test_a_damaged_file_delays_by_one_window_and_mends_itself(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    budget = three_in_ten_seconds(path)
    assert budget.take(NOW_NS) == 10.0
    damaged = budget.damaged_slots
    assert damaged >= 3
    assert budget.take(NOW_NS + 10 * S) == 0.0
    assert budget.damaged_slots == damaged


def test_a_line_that_lost_its_digits_counts_as_an_attempt(path: Path) -> None:
    path.write_bytes(b"7\n")
    budget = three_in_ten_seconds(path)
    assert [budget.take(NOW_NS) for _ in range(3)] == [0.0, 0.0, 10.0]
    assert budget.damaged_slots == 1


def test_a_process_stopped_with_the_lock_holds_nobody(path: Path) -> None:
    budget = three_in_ten_seconds(path)
    assert budget.take(NOW_NS) == 0.0
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert 0.0 < budget.take(NOW_NS) <= 1.0
    assert budget.take(NOW_NS) == 0.0


def test_a_file_that_cannot_be_written_counts_nothing_and_says_so(path: Path) -> None:
    path.symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        three_in_ten_seconds(path).take(NOW_NS)


def shared(path: Path, limit: int, shares: int) -> ConnectBudget:
    return ConnectBudget(path, limit=limit, window_s=10.0, shares=shares)


def taken(budget: ConnectBudget, owner: str, *, reserve: int = 0) -> int:
    """Return the number of attempts that it gets at once."""
    return next(count for count in range(1000) if budget.take(NOW_NS, owner=owner, reserve=reserve))


def test_a_worker_that_takes_all_it_can_get_leaves_each_other_one_its_share(path: Path) -> None:
    budget = shared(path, 12, 3)  # shares of 2, and 6 for all
    assert taken(budget, "A") == 8
    assert [taken(budget, "B"), taken(budget, "C"), taken(budget, "A")] == [2, 2, 0]


def test_ten_refused_symbols_of_two_hundred_leave_each_healthy_one_its_attempt_at_once(path: Path) -> None:
    """Each worker has the ledger open for itself, as processes have; the reserve is a third, as the dialler's."""
    symbols = [f"SYM{number:03}USDT" for number in range(200)]
    workers = {symbol: ConnectBudget(path, limit=1000, window_s=300.0, shares=200) for symbol in symbols}
    for symbol, budget in workers.items():
        assert [budget.take(NOW_NS, owner=symbol), budget.take(NOW_NS, owner=symbol)] == [0.0, 0.0]
    refused, healthy = symbols[:10], symbols[10:]
    taken = 0
    for at_s in range(1, 36):
        for symbol in refused:
            taken += workers[symbol].take(NOW_NS + at_s * S, owner=symbol, reserve=333) == 0.0
    assert taken == 1000 // 2 + 100 - 333
    assert [workers[symbol].take(NOW_NS + 61 * S, owner=symbol) for symbol in healthy] == [0.0] * 190
    assert sum(workers[symbols[0]].take(NOW_NS + 62 * S, owner="another") == 0.0 for _ in range(150)) == (
        1000 - 400 - taken - 190
    )


def test_the_reserve_is_left_by_those_who_may_not_use_it_and_their_share_is_not(path: Path) -> None:
    budget = shared(path, 12, 3)
    assert taken(budget, "A", reserve=4) == 4  # its share, and what is left of the 6
    assert taken(budget, "B", reserve=4) == 2
    assert taken(budget, "B") == 4
    assert taken(budget, "C", reserve=4) == 2


def test_who_has_no_share_leaves_the_others_theirs(path: Path) -> None:
    budget = shared(path, 12, 3)
    assert taken(budget, "", reserve=4) == 2
    assert [taken(budget, owner) for owner in "ABC"] == [6, 2, 2]


def test_more_owners_than_shares_never_exceed_the_limit(path: Path) -> None:
    budget = shared(path, 12, 3)
    assert sum(taken(budget, owner) for owner in "ABCDEFGHIJ") == 12


def test_a_limit_too_small_to_share_is_for_all(path: Path) -> None:
    assert taken(shared(path, 3, 2), "", reserve=1) == 2


def test_who_has_used_up_its_share_is_told_when_the_first_attempt_leaves_that_is_in_its_way(path: Path) -> None:
    budget = shared(path, 8, 2)  # shares of 2, and 4 for all
    for at, owner in enumerate("BBAAAAAA"):
        assert budget.take(NOW_NS + at * S, owner=owner) == 0.0
    assert budget.take(NOW_NS + 8 * S, owner="A") == 4.0  # that of second 2: those of B are not in its way
    assert budget.take(NOW_NS + 10 * S, owner="A") == 2.0
    assert budget.take(NOW_NS + 10 * S, owner="B") == 0.0
    assert budget.take(NOW_NS + 12 * S, owner="A") == 0.0


DIALLER = """
import os, sys, time
from pathlib import Path
from services.ingest.connections.attempts import ConnectBudget
budget = ConnectBudget(Path(sys.argv[1]), limit=5, window_s=0.3)
while True:
    now_ns = time.time_ns()
    wait_s = budget.take(now_ns)
    if wait_s == 0.0:
        os.write(1, b"%d\\n" % now_ns)  # at once: a kill between number and newline would tear the line
    time.sleep(min(wait_s, 0.003))
"""


def test_processes_that_are_killed_and_started_again_never_exceed_the_limit_together(path: Path) -> None:
    def started() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", DIALLER, str(path)], stdout=output)

    rng = random.Random(7)
    taken_path = path.with_name("taken")
    with taken_path.open("ab") as output:
        dialled = [started() for _ in range(4)]
        try:
            deadline_s = time.monotonic() + 60
            while taken_path.stat().st_size < 20 * 60 and time.monotonic() < deadline_s:
                time.sleep(0.2)
                victim = rng.randrange(4)
                dialled[victim].kill()
                dialled[victim].wait()
                dialled[victim] = started()
        finally:
            for process in dialled:
                process.kill()
                process.wait()
    taken_ns = sorted(int(line) for line in taken_path.read_text().splitlines())
    assert len(taken_ns) >= 55
    assert min(later - earlier for earlier, later in zip(taken_ns, taken_ns[5:], strict=False)) >= 0.3 * S
