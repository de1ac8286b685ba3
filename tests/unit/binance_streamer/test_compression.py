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


@pytest.mark.parametrize("place", [0, 3, 9])
def test_what_is_no_frame_is_left_to_the_decoder_with_all_behind_it(tmp_path: Path, place: int) -> None:
    """Damage of a magic number, or of a length: it is no half frame, since others begin behind it."""
    path = tmp_path / "file.zst"
    frames = [zstd.compress(f"{number} {'row' * number}".encode()) for number in range(1, 4)]
    content = bytearray(b"".join(frames))
    content[len(frames[0]) + place] ^= 0xFF
    path.write_bytes(content)
    assert whole_frames_bytes(path) == len(content)
    path.write_bytes(frames[0] + b"no frame at all")
    assert whole_frames_bytes(path) == len(frames[0]) + 15
