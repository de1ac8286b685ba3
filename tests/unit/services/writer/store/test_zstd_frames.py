"""Frames of lines: whole rows in each, and what can be read of a file that ends anywhere or holds a wrong byte."""

import io
from pathlib import Path

import pytest

from binance_streamer.compression import zstd
from services.writer.store.zstd_frames import first_line, frames_of, text_lines, whole_part

HEADER = b"id,price\n"


def frame(*lines: bytes) -> bytes:
    return frames_of(lines, sum(map(len, lines)))


def texts(content: bytes) -> list[bytes]:
    """The text of each frame, by a standard decoder."""
    found = []
    while content:
        decoder = zstd.ZstdDecompressor()
        found.append(decoder.decompress(content))
        assert decoder.eof
        content = decoder.unused_data
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trade.csv.zst"


def test_little_is_one_frame() -> None:
    assert texts(frame(HEADER, b"1,2\n")) == [b"id,price\n1,2\n"]


def test_much_is_cut_into_frames_of_whole_rows() -> None:
    lines = [b"%d,%s\n" % (number, b"7" * (number % 90)) for number in range(5000)]
    size_bytes = sum(map(len, lines))
    found = texts(frames_of(lines, size_bytes))
    assert b"".join(found) == b"".join(lines)
    assert len(found) == size_bytes // 65_536 == 3
    assert all(65_536 <= len(text) < 131_072 and text.endswith(b"\n") for text in found[:-1])


def test_one_row_that_is_larger_than_a_frame_is_one() -> None:
    row = b"1," + b"9" * 300_000 + b"\n"
    assert texts(frame(HEADER, row)) == [HEADER + row]


def test_a_standard_decoder_reads_frames_as_one_text() -> None:
    content = frame(HEADER, b"1,2\n") + frame(b"3,4\n")
    with zstd.ZstdFile(io.BytesIO(content)) as file:
        assert file.read() == b"id,price\n1,2\n3,4\n"


def test_a_file_that_ends_anywhere_is_whole_up_to_its_last_whole_frame(path: Path) -> None:
    frames = [frame(HEADER), frame(b"1,2\n", b"3,4\n"), frame(b"5,6\n")]
    ends = [sum(map(len, frames[:count])) for count in range(4)]
    lasts = [b"", b"", b"3,4\n", b"5,6\n"]
    content = b"".join(frames)
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        count = sum(end <= size for end in ends) - 1
        assert whole_part(path) == (ends[count], lasts[count])
        assert list(text_lines(path)) == ["id,price\n", "1,2\n", "3,4\n", "5,6\n"][: (0, 1, 3, 4)[count]]
        assert first_line(path) == (HEADER if count else b"")


def test_a_wrong_byte_costs_the_rows_of_its_frame_alone(path: Path) -> None:
    rows = [[b"%d,%d\n" % (number, number * 7919) for number in range(at, at + 20)] for at in (0, 20, 40)]
    frames = [frame(HEADER, *rows[0]), frame(*rows[1]), frame(*rows[2])]
    content = b"".join(frames)
    for at in range(len(frames[0]), len(frames[0]) + len(frames[1])):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        lines = [line.encode() for line in text_lines(path)]
        assert lines in ([HEADER, *rows[0], *rows[2]], [HEADER, *rows[0], *rows[1], *rows[2]])
        assert whole_part(path) == (len(content), b"59,467221\n")
    path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    assert whole_part(path) == (len(content) - len(frames[2]), b"39,308841\n")


def test_zeros_behind_the_last_frame_are_not_of_it(path: Path) -> None:
    """A power cut may leave them: the length was on the disk, the bytes were not."""
    content = frame(HEADER, b"1,2\n")
    path.write_bytes(content + bytes(5000))
    assert whole_part(path) == (len(content), b"1,2\n")


def test_a_day_that_somebody_compressed_in_one_frame_is_read_in_pieces(path: Path) -> None:
    lines = [b"%d,1\n" % number for number in range(400_000)]
    content = zstd.compress(HEADER + b"".join(lines))
    path.write_bytes(content)
    assert whole_part(path) == (len(content), b"399999,1\n")
    assert sum(1 for _ in text_lines(path)) == 400_001
    assert first_line(path) == HEADER


def test_an_empty_file_has_nothing(path: Path) -> None:
    path.write_bytes(b"")
    assert (whole_part(path), first_line(path), list(text_lines(path))) == ((0, b""), b"", [])
