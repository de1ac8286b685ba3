"""`keys`: makes the key files that `binance_streamer.transport.curve` reads."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
import zmq

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import HINTS
from binance_streamer.transport.curve import AUTHORIZED, CLIENT, PUBLIC_SUFFIX, SECRET_SUFFIX, SERVER, Pair, public_key

CLIENTS = "clients"

_is_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}").fullmatch

# The form of czmq's certificates: zmq.auth.load_certificate reads it, too.
_PUBLIC_TEXT = 'curve\n    public-key = "{}"\n'
_SECRET_TEXT = _PUBLIC_TEXT + '    secret-key = "{}"\n'


def keys(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where the keys lie, or shall lie.")],
    *,
    client: Annotated[str | None, typer.Option(metavar="NAME", help="Make keys for another machine.")] = None,
) -> None:
    """Make CURVE keys, which encrypt all sockets.

    Needed where an endpoint can be reached from other machines; see docs/security.md. Nothing is overwritten.

    \b
    Examples:
      binance-streamer keys keys
      binance-streamer keys keys --client analysis
    """
    os.umask(0o077)
    for path in make(directory) if client is None else make_client(directory, client):
        sys.stdout.write(f"{path}\n")
    if client is None:
        sys.stdout.write(f"\nSet endpoints.curve_directory to {directory.resolve()}. Keys for another machine:\n")
        sys.stdout.write(f"  {HINTS.command(f'keys {directory} --client NAME')}\n")
    else:
        folder = directory / CLIENTS / client
        sys.stdout.write(f"\nMove {folder} to the other machine, and name it there as endpoints.curve_directory.\n")
        sys.stdout.write(f"Removing {directory / AUTHORIZED / client}{PUBLIC_SUFFIX} shuts it out again.\n")


def make(directory: Path) -> list[Path]:
    """Make a server's pair and the pair of this machine's own clients, who are let in; returns the files."""
    server, client = _new_pair(), _new_pair()
    return _write(
        {
            directory / f"{SERVER}{SECRET_SUFFIX}": _secret(server),
            directory / f"{SERVER}{PUBLIC_SUFFIX}": _public(server.public),
            directory / f"{CLIENT}{SECRET_SUFFIX}": _secret(client),
            directory / f"{CLIENT}{PUBLIC_SUFFIX}": _public(client.public),
            directory / AUTHORIZED / f"{CLIENT}{PUBLIC_SUFFIX}": _public(client.public),
        }
    )


def make_client(directory: Path, name: str) -> list[Path]:
    """Make a directory of keys for another machine, whose clients are let in from now on; returns the files."""
    if not _is_name(name):
        raise CommandError(f"--client {name!r}: expected letters, digits, - and _, 64 at most", Exit.CONFIG)
    server_public = public_key(directory / f"{SERVER}{PUBLIC_SUFFIX}")
    client = _new_pair()
    other = directory / CLIENTS / name
    return _write(
        {
            other / f"{SERVER}{PUBLIC_SUFFIX}": _public(server_public),
            other / f"{CLIENT}{SECRET_SUFFIX}": _secret(client),
            other / f"{CLIENT}{PUBLIC_SUFFIX}": _public(client.public),
            directory / AUTHORIZED / f"{name}{PUBLIC_SUFFIX}": _public(client.public),
        }
    )


def _new_pair() -> Pair:
    """Return a new pair of CURVE keys from libzmq's own generator."""
    return Pair(*zmq.curve_keypair())


def _secret(pair: Pair) -> str:
    return _SECRET_TEXT.format(pair.public.decode(), pair.secret.decode())


def _public(key: bytes) -> str:
    return _PUBLIC_TEXT.format(key.decode())


def _write(files: Mapping[Path, str]) -> list[Path]:
    """Write all of them or, where one is there already, none: a key that is in use is never replaced.

    Each file is made new with mode 0600 and never through a symbolic link, which could lead a secret elsewhere.
    """
    there = [path for path in files if path.exists() or path.is_symlink()]
    if there:
        raise CommandError(f"{there[0]} is there already; it is not overwritten", Exit.CONFIG)
    try:
        for path, text in files.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        raise CommandError(f"cannot write keys: {error}", Exit.CONFIG) from error
    return list(files)
