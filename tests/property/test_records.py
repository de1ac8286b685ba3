"""The journal's bytes survive whatever happens to a file: cut anywhere, flipped anywhere."""

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.journal.records import DamagedBytes, JournalRecord, encode_frames, encode_head, scan

frames_strategy = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8)
u64 = st.integers(0, 2**64 - 1)


def good(buffer: bytes) -> list[tuple[int, bytes]]:
    return [(found.position, found.payload) for found in scan(buffer) if isinstance(found, JournalRecord)]


@given(frames_strategy, u64, st.integers(0, 2**60))
def test_what_was_encoded_is_found_again(frames: list[bytes], epoch: int, first: int) -> None:
    found = list(scan(encode_head(epoch, first, b"head") + encode_frames(epoch, first, frames)))
    assert [type(item) for item in found] == [JournalRecord] * (len(frames) + 1)
    records = [item for item in found if isinstance(item, JournalRecord)]
    assert records[0].is_head
    assert records[0].payload == b"head"
    assert [(r.epoch, r.position, r.payload) for r in records[1:]] == [
        (epoch, first + number, frame) for number, frame in enumerate(frames)
    ]


@given(frames_strategy, st.data())
def test_a_tail_torn_at_any_byte_costs_only_the_torn_record(frames: list[bytes], data: st.DataObject) -> None:
    buffer = encode_frames(7, 0, frames)
    cut = data.draw(st.integers(0, len(buffer)))
    whole = [item for item in scan(buffer) if isinstance(item, JournalRecord) and item.end <= cut]
    assert good(buffer[:cut]) == [(item.position, item.payload) for item in whole]
    torn = [item for item in scan(buffer[:cut]) if isinstance(item, DamagedBytes)]
    assert bool(torn) == (cut not in {0, *(item.end for item in whole)})


@given(frames_strategy, st.data())
def test_a_flipped_bit_costs_one_record_and_is_noticed(frames: list[bytes], data: st.DataObject) -> None:
    buffer = bytearray(encode_frames(7, 0, frames))
    bit = data.draw(st.integers(0, len(buffer) * 8 - 1))
    records = [item for item in scan(bytes(buffer)) if isinstance(item, JournalRecord)]
    buffer[bit // 8] ^= 1 << bit % 8
    spared = [(r.position, r.payload) for r in records if not r.start <= bit // 8 < r.end]
    assert good(bytes(buffer)) == spared
    assert any(isinstance(item, DamagedBytes) for item in scan(bytes(buffer)))


@given(st.binary(max_size=2000))
def test_random_bytes_are_damage_and_nothing_else(buffer: bytes) -> None:
    assert [item for item in scan(buffer) if isinstance(item, JournalRecord)] == []
