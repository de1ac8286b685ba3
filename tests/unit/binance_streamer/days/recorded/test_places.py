"""Days of a lake in a bucket are read as those of a folder: a copy of each, gone when it has been read."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings.choosing import chosen_days
from binance_streamer.cli.recordings.exporting import export_days
from binance_streamer.cli.recordings.verifying import verify_places
from binance_streamer.cli.recordings.words import places_of
from binance_streamer.config.schema import Config, StorageConfig
from binance_streamer.days.checks.finding import DayReport
from binance_streamer.days.recorded.places import days_at
from binance_streamer.days.recorded.received import received
from binance_streamer.days.rows import Span
from binance_streamer.stores.store import BucketError
from tests.support.recorded_days import DAY, DayWriter
from tests.support.s3 import BUCKET, Bucket, served
from tests.support.sealing import begun, seal_days

URL = f"s3://{BUCKET}"
ALL = Span(0, 2**63 - 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder, and beside it the same days sealed into the folder `lake`."""
    found = tmp_path_factory.mktemp("days") / "data"
    DayWriter().write(found)
    seal_days(found, begun(found.parent / "lake"))
    return found


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Bucket]:
    with served(data.parent / "lake") as bucket:
        yield bucket


@pytest.fixture
def bucket(running: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The lake in a bucket; what is kept in the folder for temporary files is gone behind each test."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    yield running
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_day_is_there_within_its_block(data: Path, bucket: Bucket, tmp_path: Path) -> None:
    (folder_day,) = days_at([data.parent / "lake"])
    (day,) = days_at([URL, f"{URL}/"])
    assert (day.symbol, day.day, day.place, sorted(day.stems)) == ("BTCUSDT", DAY, URL, sorted(folder_day.stems))
    assert day.size_bytes == folder_day.size_bytes
    bucket.take_read()
    with day.here({"depth", "gap"}.__contains__) as files:
        assert sorted(files.streams) == ["depth", "gap"]
        assert (files.root / f"certificates/BTCUSDT/BTCUSDT_{DAY}.json").is_file()
        (path,) = files.streams["depth"].paths
        assert path.read_bytes() == (data.parent / "lake" / path.relative_to(files.root)).read_bytes()
        assert files.beside("depth", 1) is None
        assert files.other("clock", symbol="_exchange", day=DAY) is None
    read = [name for name in bucket.take_read() if name.endswith(".parquet")]
    assert sorted(name.partition("/")[0] for name in read) == ["depth", "gap"]


def test_a_bucket_is_verified_as_its_folder_is(data: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    assert bucket
    assert verify_places([str(data.parent / "lake")], [], archive=None, as_json=True) == Exit.OK
    of_folder = capsys.readouterr().out
    assert verify_places([DAY, URL], [], archive=None, as_json=True) == Exit.OK
    assert capsys.readouterr().out == of_folder.replace(str(data.parent / "lake"), URL)


def test_a_finding_names_the_file_in_the_bucket(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data.parent / "lake", tmp_path / "lake")
    (path,) = (tmp_path / "lake" / "depth").rglob("*.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with served(tmp_path / "lake") as damaged:
        for name, value in damaged.environment.items():
            monkeypatch.setenv(name, value)
        assert verify_places([URL], [], archive=None, as_json=True) == Exit.INCOMPLETE
    report = msgspec.json.decode(capsys.readouterr().out, type=DayReport)
    name = f"{URL}/{path.relative_to(tmp_path / 'lake')}"
    assert (report.place, [one.file for one in report.findings if one.check == "files"]) == (URL, [name, name])


def test_an_export_of_a_bucket_is_that_of_its_folder(data: Path, bucket: Bucket, tmp_path: Path) -> None:
    assert bucket
    for place, to in ((str(data.parent / "lake"), tmp_path / "one"), (URL, tmp_path / "two")):
        assert export_days("csv", [place], [], symbols=["BTCUSDT"], to=to) == Exit.OK
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert len(one) == 8


def test_messages_of_a_bucket_are_those_of_its_folder_and_once_with_the_daily_files(
    data: Path, bucket: Bucket, tmp_path: Path
) -> None:
    assert bucket

    def messages(*places: str) -> list[object]:
        spill = tmp_path / f"spill-{len(places)}-{places[0].count('/')}"
        return list(received(days_at(places), ALL, spill, wanted=bool, progressed=lambda _: None))

    of_folder = messages(str(data.parent / "lake"))
    assert len(of_folder) > 500
    assert messages(URL) == of_folder
    assert messages(URL, str(data)) == of_folder


def test_a_replay_of_a_bucket_has_its_days(bucket: Bucket) -> None:
    assert bucket
    config = Config(mode="development", modes={}, storage=StorageConfig(output_directory="nowhere", lake=URL))
    for words in ((DAY,), (URL,), ()):
        (day,) = chosen_days(words, places_of(config), Exit.INCOMPLETE, symbols=["btcusdt"])
        assert (day.symbol, day.day, day.place) == ("BTCUSDT", DAY, URL)
    with pytest.raises(CommandError, match=f"no recorded files of 20261123 in {URL}"):
        chosen_days(["20261123"], places_of(config), Exit.INCOMPLETE)


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of the buckets is one where nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")


@pytest.mark.usefixtures("no_answer")
def test_a_certificate_in_a_bucket_that_does_not_answer_is_not_checked(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_places([str(data)], [str(data), URL], archive=None, as_json=True) == Exit.NOT_CHECKED
    report = msgspec.json.decode(capsys.readouterr().out, type=DayReport)
    assert report.findings == ()
    (why,) = report.blocked
    assert why.startswith("the certificate cannot be read: ")
    assert {result.check for result in report.results if result.state == "not checked"} == {"certificate"}


@pytest.mark.usefixtures("no_answer")
def test_a_bucket_that_does_not_answer_is_one_clear_error() -> None:
    with pytest.raises(BucketError, match=r"^s3://lake cannot be read: .*127\.0\.0\.1"):
        days_at([URL])
    with pytest.raises(CommandError, match=r"AWS_ENDPOINT_URL") as caught:
        verify_places([URL], [], archive=None, as_json=False)
    assert caught.value.code == Exit.NOT_CHECKED
