"""Keys are files that only their owner reads; anything else is refused with the file's name."""

from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
import zmq.auth

from binance_streamer.cli.commands import keys as key_files
from binance_streamer.cli.errors import CommandError
from binance_streamer.transport.curve import ClientGate, KeyFileError, keys_of


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    key_files.make(tmp_path / "keys")
    return tmp_path / "keys"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_keys_are_made_for_their_owner_alone(directory: Path) -> None:
    files = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    assert files == ["authorized/client.key", "client.key", "client.key_secret", "server.key", "server.key_secret"]
    assert {mode(path) for path in directory.rglob("*") if path.is_file()} == {0o600}
    assert (mode(directory), mode(directory / "authorized")) == (0o700, 0o700)


def test_other_programs_read_the_files(directory: Path) -> None:
    public, secret = zmq.auth.load_certificate(directory / "server.key_secret")
    assert secret is not None
    assert zmq.curve_public(secret) == public
    assert zmq.auth.load_certificate(directory / "server.key") == (public, None)


def test_no_key_is_overwritten(directory: Path) -> None:
    before = (directory / "server.key_secret").read_bytes()
    with pytest.raises(CommandError, match=r"server\.key_secret is there already"):
        key_files.make(directory)
    key_files.make_client(directory, "analysis")
    with pytest.raises(CommandError, match=r"there already"):
        key_files.make_client(directory, "analysis")
    with pytest.raises(CommandError, match=r"authorized/client\.key is there already"):
        key_files.make_client(directory, "client")
    assert (directory / "server.key_secret").read_bytes() == before


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "a b", "a\nb", "x" * 65, "-c"])
def test_a_client_s_name_is_no_path(directory: Path, name: str) -> None:
    with pytest.raises(CommandError, match="expected letters"):
        key_files.make_client(directory, name)


def test_another_machine_gets_what_a_client_needs_and_no_more(directory: Path) -> None:
    key_files.make_client(directory, "analysis")
    other = directory / "clients/analysis"
    assert sorted(path.name for path in other.iterdir()) == ["client.key", "client.key_secret", "server.key"]
    assert (other / "server.key").read_bytes() == (directory / "server.key").read_bytes()
    assert (other / "client.key").read_bytes() == (directory / "authorized/analysis.key").read_bytes()
    assert keys_of(str(other)) is not None


def test_no_directory_is_no_encryption() -> None:
    assert keys_of("") is None


def damaged(name: str, change: Callable[[Path], object]) -> Callable[[Path], None]:
    def harm(directory: Path) -> None:
        change(directory / name)

    return harm


def swap(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "public-key" not in line))
    with path.open("a") as file:
        file.write('    public-key = "' + "0" * 40 + '"\n')


def make_link(path: Path) -> None:
    path.rename(path.with_name("x"))
    path.symlink_to("x")


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (damaged("client.key_secret", lambda path: path.chmod(0o640)), "client.key_secret: others may read.*mode 640"),
        (damaged("client.key_secret", lambda path: path.chmod(0o604)), "client.key_secret: others may read.*mode 604"),
        (damaged("client.key_secret", lambda path: path.unlink()), "client.key_secret: cannot be read"),
        (damaged("client.key_secret", lambda path: path.write_text("")), "expected a public and a secret key"),
        (damaged("client.key_secret", swap), "its public key is not of its secret key"),
        (damaged("client.key_secret", make_link),
         "client.key_secret: cannot be read"),
        (damaged("server.key", lambda path: path.unlink()), "server.key: cannot be read"),
        (damaged("server.key", lambda path: path.write_text('public-key = "short"\n')), "holds no public key"),
        (damaged("server.key", lambda path: path.write_text(f'public-key = "{"#" * 40}"\n')), "holds no public key"),
        (damaged("server.key", lambda path: path.write_text(f'public-key = "{"é" * 20}"\n')), "holds no public key"),
        (damaged(".", lambda path: path.chmod(0o720)), "others may put keys into it"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_trusted_is_refused(directory: Path, harm: Callable[[Path], None], complaint: str) -> None:
    assert keys_of(str(directory)) is not None
    harm(directory)
    with pytest.raises(KeyFileError, match=complaint):
        keys_of(str(directory))


def test_a_missing_directory_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"none: cannot be read: .*`binance-streamer keys` makes keys"):
        keys_of(str(tmp_path / "none"))


def test_who_is_let_in_follows_the_files(directory: Path) -> None:
    gate = ClientGate(directory / "authorized")
    key_files.make_client(directory, "analysis")
    key, _ = zmq.auth.load_certificate(directory / "clients/analysis/client.key")
    assert gate.is_known(key)
    assert not gate.is_known(key[::-1])
    (directory / "authorized/damaged.key").write_bytes(b"\xff" * 100)
    (directory / "authorized/aaa.key").mkdir()
    assert gate.is_known(key)
    (directory / "authorized/analysis.key").unlink()
    assert not gate.is_known(key)


def test_a_list_that_others_may_write_lets_nobody_in(directory: Path) -> None:
    (directory / "authorized").chmod(0o777)
    with pytest.raises(KeyFileError, match="authorized: others may put keys into it"):
        ClientGate(directory / "authorized")
