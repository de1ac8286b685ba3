"""What `apply` does to the programs of supervisord."""

from binance_streamer.cli.commands.apply import Plan, outcome_of, plan_of
from binance_streamer.cli.supervisor.moves import Moves

WANTED = ["bus", "writer", "rest", "ingest-A", "ingest-B"]


def test_nothing_is_done_where_nothing_changed() -> None:
    assert plan_of(WANTED, WANTED, []) == Plan()


def test_new_changed_and_removed_programs_are_told_apart() -> None:
    running = ["bus", "ingest-A", "ingest-C", "rest", "writer"]
    plan = plan_of(WANTED, running, ["ingest-A", "ingest-B", "ingest-C", "rest"])
    assert plan == Plan(added=("ingest-B",), changed=("rest", "ingest-A"), removed=("ingest-C",))
    assert (plan.free, plan.costly) == (("rest",), ("ingest-A",))


def test_of_a_worker_that_loses_or_gets_a_symbol_it_is_never_said_that_nothing_was_missed() -> None:
    moves = Moves(("XRPUSDT",), frozenset({"all-0", "all-2"}))
    said = "handed over, nothing missed"
    assert outcome_of(said, "ingest-all-1", moves) == said
    doubtful = "handed over; of the symbols that moved, rows may be missing or there twice"
    assert outcome_of(said, "ingest-all-0", moves) == doubtful
