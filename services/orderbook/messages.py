"""The messages of the service: live tops, summary rows, audit rows, statuses of books, answers to questions.

A field of statuses, live tops and answers goes into `_state`, one of live tops and answers alone into `_moment`. One of
the summary row goes into `summary_draft` or, where it is known only while the book is valid, into `_summary_of_levels`.
docs/architecture.md names the other places.
"""

from decimal import Decimal
from typing import Any

from msgspec.structs import asdict

from binance_streamer.exchange.depth import Level
from binance_streamer.wire.books import BookMessage, BookView, Query, QueryError
from binance_streamer.wire.status_parts import BookStatus
from services.orderbook.book.audit import Audit, Outcome
from services.orderbook.keeper import Keeper
from services.runtime.gaps.drafts import Draft

SUMMARY = "summary"
"""The variant of summary rows; the live top has none."""
_MOST_DIFFERENCES = 50
"""Of an audit that are recorded: a book that is wrong everywhere would fill its file with copies of itself."""
_MOST_NAMED = 10
"""Symbols in the answer to a question about another one."""


def live_draft(keeper: Keeper, levels: int, recv_ns: int) -> Draft:
    """Return the live message `orderbook.<symbol>.`: a book's state and its best `levels` of each side."""
    bids, asks = keeper.book.known_top(levels) if keeper.is_valid else ([], [])
    message = BookMessage(**_state(keeper), **_moment(keeper, recv_ns), bids=tuple(bids), asks=tuple(asks))
    return Draft("orderbook", keeper.symbol, "", {"source": "local", **asdict(message)})


def view(keeper: Keeper, depth: int | None, recv_ns: int, *, producer: str, epoch: int) -> BookView:
    """Return the answer to a question; `depth` None: all levels. `producer` and `epoch` are those of the service."""
    bids: list[Level] = []
    asks: list[Level] = []
    trusted = (0, 0)
    if keeper.is_valid:
        book = keeper.book
        bids, asks = book.levels() if depth is None else book.top(depth)
        trusted = book.trusted(bids, asks)
        keeper.count_levels()
    return BookView(
        **_state(keeper),
        **_moment(keeper, recv_ns),
        bids=tuple(bids),
        asks=tuple(asks),
        trusted_levels=trusted,
        producer=producer,
        epoch=epoch,
    )


def summary_draft(keeper: Keeper, levels: int, recv_ns: int) -> Draft:
    """Return a row of `orderbook_<symbol>_<day>.csv`, with the best `levels` of each side."""
    data: dict[str, Any] = {
        "symbol": keeper.symbol,
        "stream": keeper.stream,
        "recv_ns": recv_ns,
        "source": "local",
        "synchronised": keeper.is_valid,
        "state": keeper.sequence.state.value,
        "updates": keeper.updates,
        "resyncs": keeper.resyncs,
        "bids": [],
        "asks": [],
    }
    if keeper.is_valid:
        data |= _summary_of_levels(keeper, levels)
    return Draft("orderbook", keeper.symbol, SUMMARY, data)


def audit_draft(keeper: Keeper, finding: Audit, recv_ns: int) -> Draft:
    """Return a row of `audit_<symbol>_<day>.csv`: the result of one comparison."""
    data = {
        "symbol": keeper.symbol,
        "stream": keeper.stream,
        "recv_ns": recv_ns,
        "source": "local",
        "kind": finding.kind,
        "outcome": finding.outcome.value,
        "last_update_id": finding.last_update_id,
        "compared": finding.compared,
        "learnt": finding.learnt,
        "different": len(finding.differences),
        "differences": [list(difference) for difference in finding.differences[:_MOST_DIFFERENCES]],
    }
    return Draft("audit", keeper.symbol, "", data)


def status_of(keeper: Keeper) -> BookStatus:
    """Return the part of the status message that is about one book."""
    return BookStatus(
        **_state(keeper),
        missed=keeper.missed,
        buffered=keeper.sequence.buffered,
        audits_skipped=keeper.audits[Outcome.NOT_COMPARABLE],
        tops_compared=keeper.quotes.compared if keeper.quotes else 0,
    )


def unknown_symbol(query: Query, kept: list[str]) -> QueryError:
    """Return the error for a question about a symbol whose book is not kept here; it names some that are."""
    named = ", ".join(kept[:_MOST_NAMED]) + (f" and {len(kept) - _MOST_NAMED} more" if len(kept) > _MOST_NAMED else "")
    return QueryError(
        "unknown_symbol",
        f"no book of {query.symbol[:64]!r} is kept, but of {named}: "
        "a symbol needs a depth stream and depth_snapshot in the configuration, the service a restart after a change",
    )


def _state(keeper: Keeper) -> dict[str, Any]:
    """Return the fields of `BookState`."""
    return {
        "stream": keeper.stream,
        "update_id": keeper.book.update_id if keeper.is_valid else None,
        "valid": keeper.is_valid,
        "valid_since_ns": keeper.valid_since_ns,
        "state": keeper.sequence.state.value,
        "reason": keeper.sequence.reason,
        "levels": keeper.levels,
        "resyncs": keeper.resyncs,
        "updates": keeper.updates,
        "audits_passed": keeper.audits[Outcome.PASSED],
        "audits_failed": keeper.audits[Outcome.FAILED],
    }


def _moment(keeper: Keeper, recv_ns: int) -> dict[str, Any]:
    """Return the symbol and the times of a `BookMessage`; those of the update are None while the book is not valid."""
    stamps = keeper.stamps if keeper.is_valid else None
    return {
        "symbol": keeper.symbol,
        "recv_ns": recv_ns,
        "event_time_ms": stamps.event_time_ms if stamps else None,
        "transact_time_ms": stamps.transact_time_ms if stamps else None,
        "depth_recv_ns": stamps.recv_ns if stamps else None,
    }


def _summary_of_levels(keeper: Keeper, levels: int) -> dict[str, Any]:
    """Return the columns of a summary row that only a valid book has."""
    book, stamps = keeper.book, keeper.stamps
    bid, ask = book.best_bid, book.best_ask
    bids, asks = book.known_top(levels)
    bid_levels, ask_levels = keeper.count_levels()
    return {
        "last_update_id": book.update_id,
        "transact_time": stamps.transact_time_ms if stamps else None,
        "event_time": stamps.event_time_ms if stamps else None,
        "best_bid": bid[0] if bid else None,
        "best_ask": ask[0] if ask else None,
        "spread": f"{Decimal(ask[0]) - Decimal(bid[0]):f}" if bid and ask else None,
        "bid_levels": bid_levels,
        "ask_levels": ask_levels,
        "bids": bids,
        "asks": asks,
    }
