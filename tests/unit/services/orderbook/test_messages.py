"""The fields that the service sends are those that readers, the writer's columns and the pages have."""

import re

import pytest

from binance_streamer.exchange.rows import OWN_COLUMNS
from binance_streamer.wire.books import decode_answer, encode_view
from services.orderbook import messages
from services.orderbook.book.audit import Audit, Difference, Outcome
from tests.support.data import REPOSITORY
from tests.unit.services.orderbook.test_keeper import new, synced

EVERY_MESSAGE = {"symbol", "recv_ns", "source"}


def test_a_summary_of_a_valid_book_has_the_columns_of_its_file() -> None:
    fields = set(messages.summary_draft(synced(), 5, 7).data)
    assert fields == {*OWN_COLUMNS["orderbook"], *EVERY_MESSAGE}


def test_a_summary_of_a_book_that_is_not_valid_has_no_other_field() -> None:
    fields = set(messages.summary_draft(new(), 5, 7).data)
    assert {"state", "updates", "resyncs", "bids", "asks"} < fields < {*OWN_COLUMNS["orderbook"], *EVERY_MESSAGE}


def test_an_audit_has_the_columns_of_its_file() -> None:
    found = Audit(Outcome.FAILED, 110, differences=(Difference("bid", "99", "1", None),), compared=4)
    data = messages.audit_draft(synced(), found, 7).data
    assert set(data) == {*OWN_COLUMNS["audit"], *EVERY_MESSAGE}
    assert (data["outcome"], data["different"], data["differences"]) == ("failed", 1, [["bid", "99", "1", None]])


def test_of_a_book_that_is_wrong_everywhere_fifty_differences_are_recorded() -> None:
    many = tuple(Difference("bid", str(price), "1", None) for price in range(51))
    data = messages.audit_draft(synced(), Audit(Outcome.FAILED, 110, differences=many), 7).data
    assert (data["different"], len(data["differences"])) == (51, 50)


def test_an_answer_is_what_clients_read() -> None:
    answer = messages.view(synced(), None, 7, producer="orderbook", epoch=3)
    assert decode_answer(encode_view(answer)) == answer
    assert (answer.valid, answer.recv_ns, answer.producer, answer.epoch) == (True, 7, "orderbook", 3)
    assert answer.bids
    assert answer.asks


def test_every_key_of_the_live_top_is_documented() -> None:
    page = (REPOSITORY / "docs" / "wire.md").read_text(encoding="utf-8")
    section = page.split("### `orderbook`")[1].split("\n### ")[0]
    documented = {key for line in section.splitlines() if line.startswith("| `") for key in keys_of(line)}
    in_the_text = {"stream", "recv_ns"}
    assert set(messages.live_draft(synced(), 5, 7).data) - {"symbol", "source"} == documented | in_the_text


@pytest.mark.parametrize("kind", ["orderbook", "audit", "gap", "clock"])
def test_the_columns_of_our_own_rows_are_documented_in_their_order(kind: str) -> None:
    page = (REPOSITORY / "docs" / "files.md").read_text(encoding="utf-8")
    assert f"\n| `{kind}` | `{', '.join(OWN_COLUMNS[kind])}` |" in page


def keys_of(line: str) -> list[str]:
    """The keys in the first cell of a table's row."""
    return re.findall(r"`(\w+)`", line.split("|")[1])
