"""`python -m services.writer.audit`: compares journals with the ledger, once every process has ended.

It names each producer whose journal holds messages that are not in the files yet. Nothing is wrong with these: the next
run writes them. A symbol that is no longer configured has no next run, so its journal has to be drained by hand.
"""

import argparse
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from binance_streamer.config import schema as configuration
from binance_streamer.config.symbols import decode_name
from services.runtime.journal import segments
from services.runtime.journal.records import JournalRecord, scan
from services.writer.store.recovery import LEDGER_NAME

_DESCRIPTION = "Names the messages that journals hold and the files do not yet. Run it when every process has ended."

Positions = dict[tuple[str, int], int]
"""(producer, epoch) → the position behind the last durable one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each producer with messages left; returns 0 where none has any, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m services.writer.audit", description=_DESCRIPTION)
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, default=configuration.default_path())
    try:
        storage = configuration.load(parser.parse_args(arguments).config).storage
        left = dict(leftovers(Path(storage.journal_directory), durable(Path(storage.output_directory))))
    except configuration.ConfigError as error:
        sys.stderr.write(f"audit: {error}\n")
        return configuration.EXIT_CODE
    except sqlite3.DatabaseError as error:
        sys.stderr.write(f"audit: the ledger cannot be read, does a writer run? {error}\n")
        return 1
    for producer, count in left.items():
        sys.stdout.write(
            f"{producer}: {count} journalled messages are not in the files yet; the next run writes them, "
            "or for a symbol that is no longer configured: python -m services.ingest --symbol S --drain\n"
        )
    return 1 if left else 0


def durable(data_directory: Path) -> Positions:
    """Return the durable positions from the ledger; none where there is no ledger."""
    path = data_directory / LEDGER_NAME
    if not path.exists():
        return {}
    # not read-only: closing would leave a log behind that was not there before
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
    try:
        rows = connection.execute("SELECT producer, epoch, next FROM epochs").fetchall()
    finally:
        connection.close()
    return {(producer, epoch): position for producer, epoch, position in rows}


def leftovers(journals: Path, positions: Positions) -> Iterator[tuple[str, int]]:
    """Yield (producer, number of messages that are not durable) of each journal that has some."""
    for directory in sorted(path for path in journals.glob("*") if path.is_dir()):
        producer = decode_name(directory.name)
        count = _left_in(directory, producer, positions)
        if count:
            yield producer, count


def _left_in(directory: Path, producer: str, positions: Positions) -> int:
    found = [segments.inspect(path) for path in sorted(directory.glob(f"*{segments.SUFFIX}"))]
    present = [segment for segment in found if segment is not None]
    count = 0
    for segment, following in zip_longest(present, present[1:]):
        next_position = positions.get((producer, segment.epoch), 0)
        if following is not None and following.epoch == segment.epoch and following.first <= next_position:
            continue  # wholly durable: not worth reading
        for record in scan(segment.path.read_bytes()):
            if isinstance(record, JournalRecord) and not record.is_head and record.position >= next_position:
                count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
