"""The quick reader of records takes what the careful one finds, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.journal.records import JournalRecord, encode_frames, encode_head, frames_at, scan


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6), st.data())
def test_frames_are_taken_up_to_the_first_that_is_damaged_or_does_not_follow(
    frames: list[bytes], data: st.DataObject
) -> None:
    buffer = bytearray(encode_frames(7, 5, frames))
    buffer += data.draw(st.sampled_from([b"", encode_frames(7, 90, [b"x"]), encode_frames(8, 5 + len(frames), [b"x"])]))
    buffer += data.draw(st.sampled_from([b"", encode_head(7, 91, b"head")]))
    if data.draw(st.booleans()):
        buffer[data.draw(st.integers(0, len(buffer) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = bytes(buffer[: data.draw(st.integers(0, len(buffer)))])
    most = data.draw(st.integers(1, 6))
    expected: list[JournalRecord] = []
    for found in scan(cut):
        follows = not expected or (
            isinstance(found, JournalRecord) and found[3:5] == (expected[-1].epoch, expected[-1].position + 1)
        )
        if not isinstance(found, JournalRecord) or found.is_head or not follows or len(expected) == most:
            break
        expected.append(found)
    taken, first, end = frames_at(cut, 1 << 20, most)
    assert [bytes(frame) for frame in taken] == [record.payload for record in expected]
    assert (first, end) == ((expected[0].position, expected[-1].end) if expected else (0, 0))


def test_as_many_frames_as_fit_but_one_at_least() -> None:
    buffer = encode_frames(7, 0, [b"12345", b"12345", b"12345"])
    assert [len(frames_at(buffer, size, 9)[0]) for size in (1, 5, 9, 10, 14, 15)] == [1, 1, 1, 2, 2, 3]


def test_frames_end_before_a_hole_and_before_another_epoch() -> None:
    for following in (encode_frames(7, 2, [b"x"]), encode_frames(8, 1, [b"x"]), encode_frames(7, 0, [b"x"])):
        taken, first, end = frames_at(encode_frames(7, 0, [b"first"]) + following, 100, 9)
        assert ([bytes(frame) for frame in taken], first, end) == ([b"first"], 0, len(encode_frames(7, 0, [b"first"])))
