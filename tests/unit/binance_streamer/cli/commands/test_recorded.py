"""The command `verify`: which days it takes, what it prints, and how it ends."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from binance_streamer.cli.app import main
from binance_streamer.health.gap_files import DAY_S, day_text
from tests.support.recorded_days import DAY, SYMBOL, DayWriter


@pytest.fixture(autouse=True)
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose data folder has the small day; the test runs beside it."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "streamer.yaml").write_text(
        "mode: production\nmodes: {production: {symbols: [{symbol: BTCUSDT}]}}\n"
    )
    monkeypatch.chdir(tmp_path)
    DayWriter().write(tmp_path / "data")
    return tmp_path / "data" / SYMBOL


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "-c", "config/streamer.yaml", *words])
    return int(ended.value.code or 0), "".join(capsys.readouterr())


def test_a_whole_day_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((DAY,), ("2026-11-22",), ("data",), (f"data/{SYMBOL}",), (DAY, "data")):
        code, text = run(capsys, *words)
        assert code == 0
        assert [line.split()[-1] for line in text.splitlines() if line.startswith(SYMBOL)] == ["whole"]


@pytest.mark.parametrize("words", [("verify", "data"), ("export", "parquet", DAY, "data")])
def test_who_names_the_files_needs_no_configuration(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "config" / "streamer.yaml").unlink()
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


def test_findings_end_with_1_and_name_file_and_id(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    path = recording / f"aggtrade_{SYMBOL}_{DAY}.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:51] + lines[52:]))
    code, text = run(capsys, DAY)
    assert code == 1
    assert "gaps" in text
    assert "1050" in text
    assert str(path) in text
    code, text = run(capsys, DAY, "--json")
    assert code == 1
    (report,) = map(json.loads, text.splitlines())
    found = [(one["check"], one["stream"], one["file"], one["id"]) for one in report["findings"]]
    assert ("gaps", "aggtrade", str(path), 1050) in found


def test_an_archive_that_has_nothing_ends_with_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, text = run(capsys, DAY, "--archive", str(tmp_path))
    assert code == 2
    assert "has no file of BTCUSDT aggtrade 20261122 (yet)" in text


def test_a_certificate_that_is_none_ends_with_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "data" / "certificates" / SYMBOL
    folder.mkdir(parents=True)
    (folder / f"{SYMBOL}_{DAY}.json").write_text("{}")
    code, text = run(capsys, "data")
    assert code == 2
    assert "the certificate cannot be read" in text


def test_without_words_it_is_yesterday_or_today(
    capsys: pytest.CaptureFixture[str], recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "config" / "streamer.yaml").write_text(
        "mode: production\nmodes: {production: {symbols: [{symbol: BTCUSDT}]}}\nstorage: {lake: lake}\n"
    )  # the lake is made when the first day is sealed
    code, text = run(capsys)
    assert code == 2
    assert f"no recorded files of {day_text(time.time())} in" in text
    yesterday = day_text(time.time() - DAY_S)
    for path in recording.iterdir():
        path.rename(path.with_name(path.name.replace(DAY, yesterday)))
    code, text = run(capsys)
    assert yesterday in text
    assert code == 0
    for path in recording.iterdir():
        path.rename(path.with_name(path.name.replace(yesterday, day_text(time.time()))))
    code, text = run(capsys)
    assert day_text(time.time()) in text


def test_what_does_not_apply_is_told_from_what_was_not_checked(
    capsys: pytest.CaptureFixture[str], recording: Path
) -> None:
    def states(*words: str) -> dict[str, str]:
        _, text = run(capsys, DAY, "--json", *words)
        return {one["check"]: one["state"] for one in json.loads(text)["results"]}

    found = states()
    assert (found["archive"], found["certificate"], found["book"]) == ("does not apply", "does not apply", "passed")
    assert states("--archive", str(recording))["archive"] == "not checked"
    path = recording / f"snapshot_{SYMBOL}_{DAY}.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "9" + lines[1])  # of an id that no update has
    assert states()["book"] == "not checked"
    code, text = run(capsys, DAY)
    assert code == 2
    assert "not checked: the book of depth cannot be built: no snapshot joins its updates" in text
    path.unlink()
    assert states()["book"] == "does not apply"


def test_a_place_that_is_not_there_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "elsewhere")
    assert code == 2
    assert "elsewhere is not there" in text


def test_without_the_extra_it_says_what_to_install() -> None:
    """In a process of its own: modules that are loaded twice are two, and what later tests patch would be the other."""
    code = "import sys; sys.modules['pyarrow'] = None\nfrom binance_streamer.cli.app import main\nmain(sys.argv[1:])"
    arguments = [sys.executable, "-c", code, "verify", "-c", "config/streamer.yaml", DAY]
    ended = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "pip install 'binance-streamer[days]'" in ended.stderr
