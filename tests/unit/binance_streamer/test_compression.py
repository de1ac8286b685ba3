"""The last whole frame of a compressed file, for every length at which the file may be met."""

from pathlib import Path

import pytest

from binance_streamer.compression import whole_frames_bytes, zstd

CHECKSUM: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
NO_SIZE: dict[int, int] = {zstd.CompressionParameter.content_size_flag: 0}
SKIPPABLE = (0x184D2A53).to_bytes(4, "little") + (7).to_bytes(4, "little") + b"ignored"


@pytest.mark.parametrize(
    "frames",
    [
        [zstd.compress(b"one\n" * 9), zstd.compress(b"two\n" * 5000, options=CHECKSUM)],
        [zstd.compress(b"", options=CHECKSUM), zstd.compress(bytes(300_000)), zstd.compress(b"x", options=NO_SIZE)],
        [SKIPPABLE, zstd.compress(bytes(range(256)) * 3)],
    ],
    ids=["texts", "empty, repeated and without a size", "one that is passed over"],
)
def test_every_length_has_its_last_whole_frame(frames: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "file.zst"
    content = b"".join(frames)
    ends = [sum(map(len, frames[:count])) for count in range(len(frames) + 1)]
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        assert whole_frames_bytes(path) == max(end for end in ends if end <= length), length


def test_what_is_no_frame_ends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.zst"
    first = zstd.compress(b"a")
    path.write_bytes(first + b"no frame at all")
    assert whole_frames_bytes(path) == len(first)
