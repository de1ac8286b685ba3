"""The digest of canonical rows: as docs/files.md specifies it, and blind to everything but values and their order."""

import datetime
import hashlib
from decimal import Decimal

import pyarrow as pa
import pytest

from binance_streamer.days.digest import BlockDigests, Blocks, Digest
from binance_streamer.days.schema import DECIMAL, LEVELS, TIME

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("time", TIME),
        ("price", DECIMAL),
        ("ms", pa.float64()),
        ("flag", pa.bool_()),
        ("text", pa.string()),
        ("bids", LEVELS),
    ]
)
ROWS: list[dict[str, object]] = [
    {
        "id": 258,
        "time": datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=datetime.UTC),
        "price": Decimal("-0.00000001"),
        "ms": 1.5,
        "flag": True,
        "text": "币",
        "bids": [{"price": Decimal(1), "quantity": Decimal(0)}, {"price": Decimal(2), "quantity": Decimal(3)}],
    },
    {"id": None, "time": None, "price": None, "ms": None, "flag": False, "text": "", "bids": []},
    {"id": -1, "time": None, "price": None, "ms": None, "flag": None, "text": None, "bids": None},
]
TABLE = pa.Table.from_pylist(ROWS, schema=SCHEMA)


def digest(*tables: pa.Table) -> str:
    taken = Digest(tables[0].schema)
    for table in tables:
        taken.take(table)
    return taken.hexdigest()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_it_is_that_of_the_specification() -> None:
    def decimal(value: int) -> bytes:
        return value.to_bytes(16, "little", signed=True)

    def number(value: int) -> bytes:
        return value.to_bytes(8, "little", signed=True)

    unit = 10**8
    columns = [
        ("id int64", b"\1\0\1", number(258) + number(-1)),
        ("time timestamp", b"\1\0\0", number(1_000_000)),
        ("price decimal", b"\1\0\0", decimal(-1)),
        ("ms double", b"\1\0\0", b"\0\0\0\0\0\0\xf8\x3f"),
        ("flag bool", b"\1\1\0", b"\1\0"),
        ("text text", b"\1\1\0", number(3) + "币".encode() + number(0)),
        ("bids list", b"\1\1\0", number(2) + number(0)),
        ("bids.price decimal", b"\1\1", decimal(unit) + decimal(2 * unit)),
        ("bids.quantity decimal", b"\1\1", decimal(0) + decimal(3 * unit)),
    ]
    lines = [f"{name} {sha(present)} {sha(values)}\n" for name, present, values in columns]
    assert digest(TABLE) == sha("".join(lines).encode())


def test_chunks_and_slices_do_not_change_it() -> None:
    whole = digest(TABLE)
    assert digest(*(TABLE.slice(at, 1) for at in range(3))) == whole
    assert digest(TABLE.slice(0, 0), TABLE) == whole
    assert digest(pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])) == whole
    assert digest(pa.concat_tables([TABLE, TABLE]).slice(3)) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"id": 259},
        {"price": Decimal("0.00000001")},
        {"text": "币 "},
        {"flag": None},
        {"bids": [{"price": Decimal(1), "quantity": Decimal(0)}, {"price": Decimal(2), "quantity": Decimal(4)}]},
        {"bids": [{"price": Decimal(1), "quantity": Decimal(0)}]},
    ],
)
def test_every_change_of_a_value_changes_it(change: dict[str, object]) -> None:
    changed = pa.Table.from_pylist([{**ROWS[0], **change}, *ROWS[1:]], schema=SCHEMA)
    assert digest(changed) != digest(TABLE)


def test_rows_removed_doubled_or_moved_change_it() -> None:
    first, second, third = (TABLE.slice(at, 1) for at in range(3))
    digests = {digest(*rows) for rows in ((first, second, third), (first, third), (first, first, second, third))}
    assert len({*digests, digest(second, first, third)}) == 4


BLOCK_SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])


def blocks_of(numbers: list[int], cut: int) -> Blocks:
    digests = BlockDigests(BLOCK_SCHEMA)
    for start in range(0, len(numbers), cut):
        part = numbers[start : start + cut]
        digests.take(pa.table([part, [str(number) for number in part]], schema=BLOCK_SCHEMA))
    return digests.blocks()


def test_blocks_do_not_depend_on_the_tables() -> None:
    numbers = list(range(5000))
    whole = blocks_of(numbers, 5000)
    assert whole == blocks_of(numbers, 700)
    assert whole.rows == 1024
    assert len(whole.digests) == 16 * 5


def test_a_changed_row_is_in_the_block_that_differs() -> None:
    numbers = list(range(5000))
    changed = [*numbers[:2100], -1, *numbers[2101:]]
    assert blocks_of(numbers, 999).differing(blocks_of(changed, 999)) == [(2048, 3072)]
    assert blocks_of(numbers, 999).differing(blocks_of(numbers, 999)) == []


def test_a_large_day_has_no_more_than_256_blocks() -> None:
    numbers = list(range(600_000))
    changed = [*numbers[:500_000], -1, *numbers[500_001:]]
    blocks = blocks_of(numbers, 100_000)
    assert blocks.rows == 4096
    assert len(blocks.digests) == 16 * 147
    ((first, end),) = blocks.differing(blocks_of(changed, 100_000))
    assert first <= 500_000 < end


def test_no_rows_have_no_blocks() -> None:
    assert blocks_of([], 1) == Blocks(1024, "")
