"""The compiled kernel says the same as Python, or leaves a message to it; skipped where no kernel was built."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.writer import kernel
from services.writer.kernel.build import build
from tests.support.examples import examples
from tests.support.kernel_checks import check_room, check_rows, reader, rows_by_kernel
from tests.support.spellings import READABLE, USUAL, bytes_changed, truncations

pytestmark = pytest.mark.skipif(kernel.template_class is None, reason="no kernel was built here")


@pytest.mark.parametrize("suffix", USUAL)
def test_the_usual_message_has_its_row_by_the_kernel(suffix: str) -> None:
    assert check_rows(suffix, [USUAL[suffix]] * 2) == 2


@pytest.mark.parametrize("suffix", USUAL)
def test_every_truncation_is_told_alike(suffix: str) -> None:
    *cut, _ = truncations(USUAL[suffix])
    assert check_rows(suffix, cut) == 0


def check_every_byte(suffix: str, by: bytes) -> None:
    events = list(bytes_changed(USUAL[suffix], by))
    assert check_rows(suffix, events) < len(events)


@pytest.mark.parametrize("suffix", USUAL)
def test_some_changes_of_every_byte_are_told_alike(suffix: str) -> None:
    check_every_byte(suffix, READABLE[::2] if suffix == "depth@0ms" else b'0"')


@pytest.mark.slow
@pytest.mark.parametrize("suffix", USUAL)
def test_every_change_of_every_byte_is_told_alike(suffix: str) -> None:
    check_every_byte(suffix, bytes(range(256)))


@st.composite
def changed(draw: st.DrawFn, suffix: str) -> bytes:
    """The usual message with pieces of it replaced, moved or repeated."""
    usual = USUAL[suffix]
    event = bytearray(usual)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(event)))
        removed = draw(st.integers(0, 12))
        begin = draw(st.integers(0, len(usual)))
        piece = usual[begin : begin + draw(st.integers(0, 40))]
        event[at : at + removed] = draw(st.sampled_from([piece, *(bytes((one,)) for one in READABLE)]))
    return bytes(event)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(sorted(USUAL)).flatmap(lambda suffix: st.tuples(st.just(suffix), changed(suffix))))
def test_changed_messages_are_told_alike(found: tuple[str, bytes]) -> None:
    suffix, event = found
    check_rows(suffix, [event])


_numbers = st.from_regex("-?(0|[1-9][0-9]{0,45})([.][0-9]{1,45})?", fullmatch=True)
_amounts = st.from_regex("(0|[1-9][0-9]{0,45})([.][0-9]{1,45})?", fullmatch=True)


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(st.tuples(_amounts, _amounts), max_size=8),
    st.sampled_from([0, 7, 2**53, 2**53 + 1, 10**18 - 1, 10**18, 2**63, 2**64, 10**30]),
    _numbers,
)
def test_long_numbers_are_told_alike(levels: list[tuple[str, str]], number: int, text: str) -> None:
    pairs = json.dumps(levels, separators=(",", ":")).encode()
    depth = USUAL["depth@0ms"].replace(b'[["84552.10","1.5"]]', pairs).replace(b":13,", b":%d," % number)
    check_rows("depth@0ms", [depth, depth.replace(b"1790526538981", b"%d" % number)])
    price = USUAL["aggTrade"].replace(b'"84551.00"', b'"%b"' % text.encode())
    events = [price, price.replace(b'"%b"' % text.encode(), text.encode()), price.replace(b'"0.518"', b"0.5")]
    check_rows("aggTrade", events)


_ODD = (
    "",
    "-",
    "-1",
    "=1",
    "+x",
    "@",
    "_x",
    "a b",
    "a,b",
    'a\\"b',
    "é",
    "1.",
    ".5",
    "01",
    "1e5",
    "1_0",
    "x" * 65,
    "\\n",
)


@pytest.mark.parametrize(
    ("suffix", "usual"),
    [("trade", '"MARKET"'), ("trade", '"84551.00"'), ("trade", "false"), ("trade", "8123391074"), ("depth@0ms", '"2"')],
)
def test_odd_values_are_told_alike(suffix: str, usual: str) -> None:
    events = [USUAL[suffix].replace(usual.encode(), odd.encode()) for one in _ODD for odd in (one, f'"{one}"')]
    assert check_rows(suffix, events) < len(events)


def test_a_line_may_be_longer_than_its_message() -> None:
    check_room()


def hostile() -> Iterator[bytes]:
    usual, levels = USUAL["depth@0ms"], b'[["84552.10","1.5"]]'
    yield usual.replace(levels, b"[" + b",".join([b'["84552.10","1.5"]'] * 20_000) + b"]")
    yield usual.replace(levels, b"[" * 50_000 + b"]" * 50_000)
    yield usual.replace(levels, b"[" * 50_000)
    yield usual.replace(b"84552.10", b"9" * 100_000)
    yield usual.replace(b"1790526538985", b"9" * 100_000)
    yield usual.replace(b'"s":', b'"x":"' + b"y" * 1_000_000 + b'","s":')
    yield from (b"", b"{", b"{}", b"[]", b'"', b"\x00" * 1000, b"null")


def test_huge_and_nested_messages_are_told_alike() -> None:
    assert check_rows("depth@0ms", list(hostile())) == 1


def test_what_is_unusual_costs_the_others_nothing() -> None:
    usual = USUAL["aggTrade"]
    odd = [
        b"{",
        usual.replace(b'"nq":"0.518",', b""),
        usual.replace(b",", b", "),
        usual.replace(b'"q":"0.518"', b'"q":""'),
    ]
    taught = reader("aggTrade", usual)
    events = [usual, odd[0], usual, *odd, usual]
    made = [row is not None for row in rows_by_kernel(taught, events)]
    assert made == [True, False, True, False, False, False, False, True]
    taught.read(odd[1])
    made = [row is not None for row in rows_by_kernel(taught, events)]
    assert made == [True, False, True, False, True, False, False, True]


@pytest.mark.slow
def test_no_byte_beyond_a_message_is_read(tmp_path: Path) -> None:
    """AddressSanitizer looks on, and each message lies in memory of its own, exactly as large as it is."""
    sanitizer = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    built = tmp_path / "_kernel.abi3.so"
    if not Path(sanitizer.stdout.strip()).is_absolute() or build(built, "-fsanitize=address", "-g", "-DEXACT_BYTES"):
        pytest.skip("there is no gcc with AddressSanitizer")
    environment = {
        **os.environ,
        "LD_PRELOAD": sanitizer.stdout.strip(),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps some memory to its end
    }
    command = [sys.executable, "-m", "tests.support.kernel_fuzz", "--seconds", "20", "--kernel", str(built)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    assert "messages compared" in done.stdout
