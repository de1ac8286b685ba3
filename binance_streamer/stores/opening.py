"""Opens the store at the place of a lake: a folder needs no library for that, a bucket pyarrow, of the extra `days`."""

from pathlib import Path

from binance_streamer.stores.folder import FolderStore
from binance_streamer.stores.store import Store


def is_url(place: str | Path) -> bool:
    """Return True if a place is named as a bucket is, and not as a folder."""
    return "://" in str(place)


def store_of(place: str, workplace: Path | None = None) -> Store:
    """Return the store at a path or an `s3://` URL; `workplace` is needed to write into a bucket."""
    if is_url(place):
        from binance_streamer.stores.bucket import BucketStore  # noqa: PLC0415 (it needs the extra)

        return BucketStore(place, workplace)
    return FolderStore(Path(place))
