"""Files in a bucket of a real S3 server: there as a whole or not at all, whatever fails in the middle."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from binance_streamer.stores.bucket import BucketStore, try_bucket
from binance_streamer.stores.store import sha256_of
from tests.support.moto import LAKE, Fault, S3Server

pytest.importorskip("moto", reason="./run --group s3 pytest installs an S3 server")

NAME = "trade/symbol=%E7%89%9B/day=2026-11-22/trade_1.parquet"
CONTENT = bytes(range(256)) * 50_000
"""12.8 MB, which are two parts of an upload."""


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@pytest.fixture
def store(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketStore:
    """An empty lake on a server without faults."""
    if server.has_ended():
        server.restart()
    server.fail()
    server.system.delete_dir_contents(LAKE.removeprefix("s3://"), missing_dir_ok=True)
    return opened(server, tmp_path, monkeypatch)


def opened(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketStore:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    found = BucketStore(LAKE, tmp_path / "workplace")
    found.begin()
    return found


def written(store: BucketStore, content: bytes = CONTENT, *, name: str = "sealing.parquet") -> Path:
    path = store.workplace / name
    path.write_bytes(content)
    return path


def test_a_file_is_put_listed_read_and_deleted(server: S3Server, store: BucketStore) -> None:
    path = written(store)
    store.put(path, NAME)
    assert not path.exists()
    assert server.objects() == {NAME: len(CONTENT)}
    assert (store.exists(NAME), store.size(NAME)) == (True, len(CONTENT))
    assert store.local(NAME).read_bytes() == CONTENT
    assert (
        sha256_of(store.open(NAME), lambda: None) == "c0ea5e414805b54677d312f5511b3c044f122703808bccda62472b3f5694c2ec"
    )
    assert store.names("trade") == ["symbol=%E7%89%9B"]
    assert store.names("nothing") == []
    store.delete(NAME)
    store.delete(NAME)
    assert (server.objects(), store.exists(NAME)) == ({}, False)
    with pytest.raises(FileNotFoundError):
        store.open(NAME)
    with pytest.raises(FileNotFoundError):
        store.size(NAME)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut", "PUT", "partNumber=2"),
        Fault("kill", "PUT", "partNumber=2"),
        Fault("refuse", "POST", "uploadId="),
        Fault("cut", "GET", ".sealing/sealing.parquet"),
        Fault("flip", "GET", ".sealing/sealing.parquet"),
        Fault("refuse", "PUT", "trade_1.parquet"),
    ],
    ids=["cut in a part", "killed in a part", "not completed", "not read back", "read back otherwise", "not copied"],
)
def test_a_file_whose_upload_fails_is_not_there_and_is_put_the_next_time(
    server: S3Server, store: BucketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    path = written(store)
    server.fail(fault)
    with pytest.raises(OSError):  # noqa: PT011 (Arrow has a text for each of them)
        store.put(path, NAME)
    assert path.read_bytes() == CONTENT
    if server.has_ended():
        server.restart()
    assert NAME not in server.objects()
    server.fail()
    again = opened(server, tmp_path, monkeypatch)
    assert server.objects() == {}
    again.put(written(again), NAME)
    assert again.local(NAME).read_bytes() == CONTENT


def test_a_connection_that_is_cut_once_does_not_end_an_upload(server: S3Server, store: BucketStore) -> None:
    server.fail(Fault("cut", "PUT", "partNumber=2", times=1))
    store.put(written(store), NAME)
    assert store.local(NAME).read_bytes() == CONTENT


def test_an_upload_that_is_given_up_leaves_the_file_before(server: S3Server, store: BucketStore) -> None:
    class GivenUpError(Exception):
        """The process is asked to end."""

    def give_up() -> None:
        raise GivenUpError

    store.put(written(store, b"before"), NAME)
    with pytest.raises(GivenUpError):
        store.put(written(store), NAME, progressed=give_up)
    assert server.objects()[NAME] == len(b"before")


def test_a_small_file_is_asked_for_once(server: S3Server, store: BucketStore) -> None:
    name = "certificates/BTCUSDT/BTCUSDT_20261122.json"
    with pytest.raises(FileNotFoundError):
        store.read_bytes(name)
    store.put(written(store, b"{}", name="one.json"), name)
    server.fail(Fault("refuse", "GET", "BTCUSDT_20261122"))
    assert store.read_bytes(name) == b"{}"
    server.fail()
    store.put(written(store, b"[]", name="one.json"), name)
    assert store.read_bytes(name) == b"[]"
    assert server.objects() == {name: 2}


def test_a_bucket_is_tried_and_nothing_stays(server: S3Server, store: BucketStore) -> None:
    assert store.uri == LAKE
    try_bucket(LAKE)
    assert server.objects() == {}
    server.fail(Fault("refuse", "PUT", ".doctor"))
    with pytest.raises(OSError, match=r"\.doctor"):
        try_bucket(LAKE)


def test_an_address_where_no_server_is_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        BucketStore(LAKE, tmp_path / "workplace").begin()
