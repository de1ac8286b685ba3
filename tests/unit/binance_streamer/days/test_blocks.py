"""Digests of blocks: they say where two days differ, and do not depend on how the rows were cut."""

import pyarrow as pa

from binance_streamer.days.blocks import BlockDigests, Blocks

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])


def blocks_of(numbers: list[int], cut: int) -> Blocks:
    digests = BlockDigests(SCHEMA)
    for start in range(0, len(numbers), cut):
        part = numbers[start : start + cut]
        digests.take(pa.table([part, [str(number) for number in part]], schema=SCHEMA))
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
