"""A lake in a bucket of S3, or of what speaks like it: files get their names by a copy within the bucket.

An upload of several parts that a kill has cut is invisible, and stays until the bucket's own rule for incomplete
uploads removes it. One that this process gives up itself is completed by the library as far as it came: that is why it
has a name in `.sealing/`, where nobody reads, until it has been read back.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pyarrow as pa
from pyarrow import fs

from binance_streamer.stores.scratch import ScratchFolder
from binance_streamer.stores.store import PIECE_BYTES, WORKPLACE, copy_to, make_empty, no_progress, sha256_of

_CONNECT_S = 5.0
_DELTA_OPTIONS = {
    "conditional_put": "etag",  # a commit of the log never replaces one that somebody else has made meanwhile
    "connect_timeout": f"{_CONNECT_S:.0f}s",
    "timeout": "30s",
    "max_retries": "3",
    "retry_timeout": "30s",
}
"""For the library that keeps the log. By itself it tries for three minutes, in which the archiver says nothing."""


class BucketStore:
    """A part of a bucket, `s3://bucket/prefix`, for one process that writes.

    Small files that were read or put are kept in the workplace, because the archiver looks at each certificate again
    and again, and every look would be a request that costs money.
    """

    def __init__(self, uri: str, workplace: Path | None) -> None:
        """Without a workplace, a local folder of this lake alone, it can only be read."""
        self.uri = uri.rstrip("/")
        self._workplace = workplace
        self._keeps = False
        self.options = _DELTA_OPTIONS | ({"allow_http": "true"} if _endpoint().scheme == "http" else {})
        self._root = self.uri.removeprefix("s3://")
        self._bucket = fs.S3FileSystem(connect_timeout=_CONNECT_S, **_arrow_options())

    @property
    def workplace(self) -> Path:
        """The folder for files that are being written."""
        assert self._workplace is not None, f"{self.uri} was opened for reading"
        return self._workplace

    def begin(self) -> None:
        """Make an empty workplace here, and delete what was uploaded and has not got its name."""
        make_empty(self.workplace)
        self._bucket.delete_dir_contents(self._path(WORKPLACE), missing_dir_ok=True)
        self._keeps = True

    def put(self, written: Path, name: str, *, progressed: Callable[[], None] = no_progress) -> None:
        """Upload the file beside, read it back, and copy it to its name within the bucket.

        What ends in between, by an error or by what `progressed` raises, has not touched the name.
        """
        kept = self._kept(name)
        kept.unlink(missing_ok=True)
        staged = f"{WORKPLACE}/{written.name}"
        sent = self._upload(written, staged, progressed)
        if sha256_of(self.open(staged), progressed) != sent:
            raise OSError(f"{self.uri}/{name}: what was read back is not what was uploaded")
        self._bucket.copy_file(self._path(staged), self._path(name))
        self.delete(staged)
        if written.suffix == ".parquet":
            written.unlink()
        else:
            kept.parent.mkdir(parents=True, exist_ok=True)
            written.replace(kept)

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a small file, from the workplace where it has been seen before."""
        if self._keeps and self._kept(name).is_file():
            return self._kept(name).read_bytes()
        with self.open(name) as file:
            content: bytes = file.read()
        if self._keeps:
            kept = self._kept(name)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(content)
        return content

    def open(self, name: str) -> pa.NativeFile:
        """Open an object for reading."""
        return self._bucket.open_input_stream(self._path(name))

    def local(self, name: str) -> Path:
        """Download an object into the workplace; return where it is."""
        new, path = self.workplace / "downloading", self.workplace / "downloaded.parquet"
        copy_to(new, self.open(name))
        new.replace(path)  # whoever still reads the one before goes on with it
        return path

    def size(self, name: str) -> int:
        """Return the bytes of an object."""
        found = self._bucket.get_file_info(self._path(name))
        if found.type != fs.FileType.File:
            raise FileNotFoundError(f"{self.uri}/{name}")
        return int(found.size)

    def exists(self, name: str) -> bool:
        """Return True if there is an object of this name."""
        return bool(self._bucket.get_file_info(self._path(name)).type == fs.FileType.File)

    def names(self, folder: str) -> list[str]:
        """Return the names directly below a prefix, in order."""
        found = self._bucket.get_file_info(fs.FileSelector(self._path(folder), allow_not_found=True))
        return sorted(one.base_name for one in found)

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        self._kept(name).unlink(missing_ok=True)
        if self.exists(name):
            self._bucket.delete_file(self._path(name))

    def _upload(self, written: Path, name: str, progressed: Callable[[], None]) -> str:
        """Upload a file; return the SHA-256 of what was sent."""
        digest = hashlib.sha256()
        with written.open("rb") as source, self._bucket.open_output_stream(self._path(name)) as target:
            while piece := source.read(PIECE_BYTES):
                digest.update(piece)
                target.write(piece)
                progressed()
        return digest.hexdigest()

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _kept(self, name: str) -> Path:
        return self.workplace / "kept" / name


def try_bucket(uri: str) -> None:
    """Put, read back and delete a small file below `uri`; raises `OSError` where one of that is not possible."""
    with ScratchFolder("binance-streamer-") as folder:
        store = BucketStore(uri, folder)
        written = folder / "doctor"
        written.write_bytes(b"doctor\n")
        store.put(written, ".doctor")
        store.delete(".doctor")


def _endpoint() -> SplitResult:
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))


def _arrow_options() -> dict[str, str]:
    """Return what Arrow does not take from the environment by itself."""
    endpoint = _endpoint()
    return {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme} if endpoint.netloc else {}
