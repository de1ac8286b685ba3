"""The locks of the writer: one writer for a data directory, and one for each of its addresses.

Two writers in one directory would cut off each other's rows, and two behind one address would share the batches. So a
second writer waits, and takes over when the first one ends, however it ends: the kernel gives the locks back.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from binance_streamer.deploy.lock_files import WRITER_LOCK
from services.runtime.lock import Blockage, FileLock, held_endpoint, wait_for_lock
from services.runtime.process import Shell, StopRequestedError
from services.writer.owner import check_owner, claim
from services.writer.store.errors import BlockedError, blocked_if_it_passes

_RETRY_S = 1.0
"""Between two tries where the lock file cannot be made, or the directory belongs to another recorder."""


@contextlib.contextmanager
def locked(shell: Shell) -> Iterator[FileLock]:
    """Hold all locks, and give that of the data directory; `StopRequestedError` where it is asked to end before."""
    endpoints = shell.config.endpoints
    with contextlib.ExitStack() as held:
        data = _lock_of_data(shell)
        held.callback(data.release)
        for endpoint in (endpoints.writer_intake, endpoints.writer_acks):
            held.enter_context(held_endpoint(shell, endpoint))
        yield data


def _lock_of_data(shell: Shell) -> FileLock:
    """Wait until the data directory is ours to write: not another recorder's, not locked, writable.

    The status says why it waits. Where the directory is another recorder's, the lock is not kept from that one.
    """
    data, journals = Path(shell.config.storage.output_directory), Path(shell.config.storage.journal_directory)
    with Blockage(shell) as blockage:
        while not shell.stop.requested:
            lock = None
            try:
                with blocked_if_it_passes():
                    check_owner(data, journals)
                    lock = wait_for_lock(shell, data / WRITER_LOCK, what=f"the data directory {data}")
                    claim(data, journals)
                    return lock
            except BlockedError as error:
                if lock is not None:
                    lock.release()
                blockage.tell(str(error))
                shell.stop.wait(_RETRY_S)
    raise StopRequestedError
