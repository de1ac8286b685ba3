"""What a restart knows."""

from pathlib import Path

import pytest

from services.rest.schedule.pacing import SavedPace
from services.rest.state import RestState, StateError, load, save

STATE = RestState(SavedPace(stand_down_s=89.5, sent=[(10.0, 20), (1.5, 1)], reported=[(0.5, 45)]), {"BTCUSDT": 1790})


def test_a_successor_reads_what_was_written_and_how_long_ago(tmp_path: Path) -> None:
    save(tmp_path / "run" / "rest.json", STATE, 1_000_000_000)
    assert load(tmp_path / "run" / "rest.json", 5_000_000_000) == (STATE, 4.0)


def test_the_first_start_finds_nothing(tmp_path: Path) -> None:
    assert load(tmp_path / "rest.json", 0) is None


def test_a_clock_set_back_shortens_nothing(tmp_path: Path) -> None:
    save(tmp_path / "rest.json", STATE, 5_000_000_000)
    assert load(tmp_path / "rest.json", 1_000_000_000) == (STATE, 0.0)


def test_a_file_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "rest.json"
    save(path, STATE, 1)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(StateError):
            load(path, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"[1,[[-1,[],[]],{}]]",
        b"[1,[[0,[[-1e9,20]],[]],{}]]",
        b"[1,[[0,[[1,-20]],[]],{}]]",
        b"[1,[[NaN,[],[]],{}]]",
        b'{"written_ns":1,"stand_down_s":0,"sent":[],"reported":[],"taken_ms":{}}',
        b"\xff\xfe",
    ],
)
def test_impossible_values_are_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rest.json"
    path.write_bytes(content)
    with pytest.raises(StateError):
        load(path, 1)


def test_a_directory_in_its_place_is_damage(tmp_path: Path) -> None:
    (tmp_path / "rest.json").mkdir()
    with pytest.raises(StateError):
        load(tmp_path / "rest.json", 1)
