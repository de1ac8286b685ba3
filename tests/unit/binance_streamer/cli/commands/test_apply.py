"""What `apply` does to the programs of supervisord."""

from binance_streamer.cli.commands.apply import Plan, plan_of

WANTED = ["bus", "writer", "rest", "ingest-A", "ingest-B"]


def test_nothing_is_done_where_nothing_changed() -> None:
    assert plan_of(WANTED, WANTED, []) == Plan()


def test_new_changed_and_removed_programs_are_told_apart() -> None:
    running = ["bus", "ingest-A", "ingest-C", "rest", "writer"]
    plan = plan_of(WANTED, running, ["ingest-A", "ingest-B", "ingest-C", "rest"])
    assert plan == Plan(added=("ingest-B",), changed=("rest", "ingest-A"), removed=("ingest-C",))
    assert (plan.free, plan.costly) == (("rest",), ("ingest-A",))
