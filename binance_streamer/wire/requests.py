"""Requests to the REST process, and what it publishes for others: `request`, `repair`, `symbol_status` of docs/wire.md.

Who sends such a message builds the struct, and who receives one reads it as the same struct; a `read_…` function raises
`WireError` for anything else. Times are in nanoseconds or milliseconds since 1970, as the names say.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from binance_streamer.wire.frames import WireError

DEPTH_SNAPSHOT = "depth_snapshot"
"""The stream that a `SnapshotRequest` names on the wire: by it the two kinds of requests are told apart."""
AUDIT = "audit"
"""The reason of a request by a book that is right, and compares itself with a snapshot: it comes behind all others."""
_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_UpdateId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Id = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
"""An id or an open time; what lies before the first row of all is -1."""
_Ns = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Ms = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class SnapshotRequest(msgspec.Struct, frozen=True):
    """A request for a depth snapshot of a symbol; one helps where its `lastUpdateId` is at least this one."""

    symbol: str
    last_update_id: _UpdateId
    reason: str
    producer: str = ""
    """The name of the process that asks, as each message on the wire has it; empty until it is sent."""


class BackfillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the rows of a stream with ids in (from_id, to_id], which belong to a gap."""

    symbol: str
    stream: str
    gap_id: str
    from_id: _Id
    to_id: _Id
    from_ns: _Id
    """When the row before the missing ones was received."""
    reason: str = ""


class BackfillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a `BackfillRequest`, whose ids it repeats: `event` is the body of the exchange, as it came.

    `refusal` says in the exchange's words why there will never be any; it is empty where REST may have rows.
    """

    symbol: str
    stream: str
    recv_ns: _Ns
    source: Literal["rest"] = "rest"
    connection: int = 0
    requested_ns: _Ns = 0
    event: bytes = b"[]"
    path: str = ""
    """Path and query that the exchange was asked for."""
    gap_id: str = ""
    from_id: int
    to_id: int
    refusal: str = ""


class SymbolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The trading status of a symbol at the exchange."""

    symbol: str
    stream: str
    """The path of the list that it is from."""
    recv_ns: _Ns
    source: str = "rest"
    status: str
    off_session: Annotated[list[tuple[_Ms, _Ms]], msgspec.Meta(max_length=1000)] | msgspec.UnsetType = msgspec.UNSET
    """Ranges [from_ms, to_ms) in which the market that it follows is closed; unset while that is not known."""


def request_data(request: SnapshotRequest | BackfillRequest, recv_ns: int) -> dict[str, Any]:
    """Return the `data` of a request that is made at this moment."""
    fields = {name: value for name, value in msgspec.structs.asdict(request).items() if name != "producer"}
    return {"stream": DEPTH_SNAPSHOT, "recv_ns": recv_ns, "source": "local", **fields}


def answer_data(message: BackfillAnswer | SymbolStatus) -> dict[str, Any]:
    """Return the `data` of a message of the REST process; what is unset is left out."""
    data: dict[str, Any] = msgspec.to_builtins(message, builtin_types=(bytes,))
    return data


def read_request(data: Mapping[str, Any]) -> SnapshotRequest | BackfillRequest:
    """Return the request in the `data` of a `request` frame."""
    if data["stream"] == DEPTH_SNAPSHOT:
        return _read(data, SnapshotRequest)
    return _read(data, BackfillRequest)


def read_answer(data: Mapping[str, Any]) -> BackfillAnswer:
    """Return the answer in the `data` of a `repair` frame; its ids grow from `from_id` to `to_id`."""
    answer = _read(data, BackfillAnswer)
    if answer.from_id >= answer.to_id:
        raise WireError(f"repair: expected ids that grow, got {answer.from_id}, {answer.to_id}")
    return answer


def read_symbol_status(data: Mapping[str, Any]) -> SymbolStatus:
    """Return the status in the `data` of a `symbol_status` frame."""
    return _read(data, SymbolStatus)


def _read(data: Mapping[str, Any], shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise WireError(f"{shape.__name__}: {error}") from error
