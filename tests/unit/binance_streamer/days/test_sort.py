"""Rows sorted through runs on the disk: every order of arrival gives the same order, in bounded memory."""

import random
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest

from binance_streamer.days import sort
from binance_streamer.days.sort import sorted_batches

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("value", pa.int64())])


def batch(rows: Iterable[tuple[int | None, str | None, int]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)


def in_order(batches: Iterable[pa.RecordBatch], spill: Path) -> list[tuple[int | None, str | None, int]]:
    tables = list(sorted_batches(batches, ("id", "name"), spill))
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def test_late_rows_come_to_their_place(tmp_path: Path) -> None:
    batches = [batch([(1, "a", 0), (3, "a", 1)]), batch([(4, "a", 2), (2, "a", 3)]), batch([(5, "a", 4)])]
    assert [row[0] for row in in_order(batches, tmp_path)] == [1, 2, 3, 4, 5]


def test_ties_are_decided_by_the_next_column_and_nulls_come_first(tmp_path: Path) -> None:
    batches = [batch([(1, "b", 0), (1, "a", 1)]), batch([(1, None, 2), (None, "z", 3)])]
    assert in_order(batches, tmp_path) == [(None, "z", 3), (1, None, 2), (1, "a", 1), (1, "b", 0)]


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert in_order([], tmp_path) == []
    assert in_order([batch([])], tmp_path) == []


def test_runs_are_gone_afterwards_also_where_the_reader_stops(tmp_path: Path) -> None:
    batches = [batch([(number, "a", 0)]) for number in (3, 2, 1)]
    in_order(batches, tmp_path)
    assert list(tmp_path.iterdir()) == []
    taken = sorted_batches(batches, ("id", "name"), tmp_path)
    next(taken)
    assert len(list(tmp_path.iterdir())) == 3
    taken.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_arrival_gives_one_order(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort, "_MAX_RUNS", 3)
    monkeypatch.setattr(sort, "_PIECE_BYTES", 100)
    rng = random.Random(seed)
    rows = [(rng.randrange(200), rng.choice("abc"), number) for number in range(500)]
    rows = [(*row[:2], 0) for row in rows]
    batches = [batch(rows[at : at + 20]) for at in range(0, len(rows), 20)]
    assert in_order(batches, tmp_path) == sorted(rows)
