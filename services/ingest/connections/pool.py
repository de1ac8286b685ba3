"""The connections of a route: which to dial, and which to close. Decided from events and times that are passed in.

A route has as many slots as there are redundant connections. A slot makes before it breaks: the successor is open and
proven before the connection that it replaces is retired.

| state of a slot | current | successor | next |
|---|---|---|---|
| empty | none | none | its delay is over: dial the current one |
| dialling | not open yet | none | opened: serving; failed: empty, after a longer delay |
| serving | open | none | lifetime over, or `replace_reason` set: dial a successor; ended: empty |
| replacing | open | being dialled | successor opened: overlapping; failed: serving, and again after a delay |
| overlapping | open | open | the successor takes over, or is closed because it stays silent: serving |

The successor takes over when it is proven and has delivered for 1 s, when it is proven and both were quiet for 30 s,
and unproven when it has delivered for 30 s. It is closed when it has delivered nothing for a stale timeout, unproven.

Where the current one ends at any time, its successor takes its place. Where the successor ends, the slot goes on
serving.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from zlib import crc32

_STAGGER = 0.1
"""Lifetimes are spread over the last tenth: a worker's connections, and all symbols', do not end together."""
_OVERLAP_S = 1.0  # what is in flight to the old one when the new one begins is still to arrive
HANDOVER_S = 30.0
"""A successor that delivers has so long to prove that it missed nothing; streams quiet for so long need no proof."""

EXPIRED, SHUTDOWN, STALE, SILENT, LATE = "lifetime", "serverShutdown", "stale", "silent", "late"


class Dial(NamedTuple):
    """Open the connection of this number."""

    number: int


class Retire(NamedTuple):
    """Close this connection. `proven_by`: the connection that is proven to have all that it delivered; None: nobody."""

    number: int
    reason: str
    proven_by: int | None


Decision = Dial | Retire


class RetryDelay(Protocol):
    """Growing delays between attempts, which begin anew after a connection that has lasted."""

    def next_delay_s(self, lasted_s: float) -> float: ...
    def has_lasted(self, lasted_s: float) -> bool: ...


@dataclass(slots=True)
class ConnectionState:
    """One connection, from the decision to dial it until its end has been reported."""

    number: int
    ordinal: int
    route: str = ""
    messages: int = 0
    opened_s: float | None = None
    delivering_s: float | None = None
    """Monotonic time of its first message of any stream."""
    replace_reason: str | None = None
    """Why there shall be another one in its place; of a successor it waits until that has taken over."""
    proven_by: int | None = None
    """Of one that is being closed: the connection that is proven to have all that it delivered."""

    @property
    def state(self) -> str:
        """Return `dialling`, `open` (nothing has come yet) or `delivering`."""
        if self.opened_s is None:
            return "dialling"
        return "open" if self.delivering_s is None else "delivering"

    def lasted_s(self, now_s: float) -> float:
        """Return the seconds since it was opened; 0 where it never was."""
        return 0.0 if self.opened_s is None else now_s - self.opened_s


@dataclass(slots=True)
class _Slot:
    ordinal: int
    lifetime_s: float
    delay: RetryDelay
    current: ConnectionState | None = None
    successor: ConnectionState | None = None
    retry_at_s: float = 0.0
    stand_down_s: float = 0.0
    """Until then the exchange wants no attempt, whatever else happens."""
    replace_at_s: float = 0.0
    """Not before: where all servers announce their end, each replacement would call for the next."""


class RouteConnections:
    """The connections of one route: a slot for each of `delays`.

    `silent_s`: a successor that delivers nothing for so long is closed. `new_connection` gives the record of a
    connection for a slot's ordinal.
    """

    def __init__(
        self,
        name: str,
        *,
        lifetime_s: float,
        silent_s: float,
        new_connection: Callable[[int], ConnectionState],
        delays: Iterable[RetryDelay],
    ) -> None:
        self.is_trusted = True
        """True until a connection ends that has not lasted: then until one has. An attempt that fails says nothing of
        a route that was well before."""
        self._has_lasted = False
        self._silent_s = silent_s
        self._new_connection = new_connection
        self._slots = [
            _Slot(ordinal, lifetime_s * (1 - _STAGGER * _fraction(f"{name}/{ordinal}")), delay)
            for ordinal, delay in enumerate(delays)
        ]

    def connections(self) -> Iterator[ConnectionState]:
        """Yield all connections, those being dialled and those being replaced too."""
        for slot in self._slots:
            yield from _connections_of(slot)

    @property
    def is_settled(self) -> bool:
        """Return True where every slot is serving and to stay so, until something happens or a lifetime is over."""
        return all(
            slot.successor is None
            and slot.current is not None
            and slot.current.opened_s is not None
            and slot.current.replace_reason is None
            for slot in self._slots
        )

    def on_ended(self, number: int, now_s: float, *, retry_after_s: float = 0.0) -> None:
        """Take note that a connection was lost, or could not be opened; the next one waits for its delay.

        `retry_after_s`: the exchange asks for so long a pause at least. A connection that was retired is not known
        here.
        """
        for slot in self._slots:
            one = next((one for one in _connections_of(slot) if one.number == number), None)
            if one is None:
                continue
            self._note_duration(slot, one, now_s)
            if slot.current is not None and slot.current.number == number:
                slot.current, slot.successor = slot.successor, None
            else:
                slot.successor = None
            slot.retry_at_s = now_s + slot.delay.next_delay_s(one.lasted_s(now_s))
            slot.stand_down_s = max(slot.stand_down_s, now_s + retry_after_s)

    def replace_all(self, reason: str) -> list[Retire]:
        """Have all connections replaced.

        Return the successors to close: what they subscribe to is not wanted any more.
        """
        retired = []
        for slot in self._slots:
            if slot.successor is not None:
                proven_by = slot.current.number if slot.current is not None else None
                retired.append(Retire(slot.successor.number, reason, proven_by))
                slot.successor = None
            if slot.current is not None:
                slot.current.replace_reason = reason
        return retired

    def tick(self, now_s: float, is_proven: Callable[[int, int], bool]) -> list[Decision]:
        """Return what to dial and to close now. `is_proven(old, new)`: `new` has every stream that `old` delivers."""
        decisions: list[Decision] = []
        for slot in self._slots:
            decisions += self._retirements(slot, now_s, is_proven)
            dial = self._dial(slot, now_s)
            if dial is not None:
                decisions.append(dial)
        return decisions

    def _note_duration(self, slot: _Slot, one: ConnectionState, now_s: float) -> None:
        if slot.delay.has_lasted(one.lasted_s(now_s)):
            self._has_lasted = self.is_trusted = True
        elif one.opened_s is not None or not self._has_lasted:
            self.is_trusted = False

    def _retirements(self, slot: _Slot, now_s: float, is_proven: Callable[[int, int], bool]) -> list[Decision]:
        current, successor = slot.current, slot.successor
        if current is not None and current.opened_s is not None and now_s - current.opened_s > slot.lifetime_s:
            current.replace_reason = current.replace_reason or EXPIRED
        if current is None or successor is None or successor.opened_s is None:
            return []
        proven = is_proven(current.number, successor.number)
        heard_s = successor.delivering_s
        is_quiet = heard_s is None and now_s - successor.opened_s > HANDOVER_S  # so is the old one, if that is proven
        has_overlapped = heard_s is not None and now_s - heard_s >= _OVERLAP_S
        is_late = heard_s is not None and now_s - heard_s > HANDOVER_S
        if (proven and (has_overlapped or is_quiet)) or is_late:
            reason = current.replace_reason or EXPIRED
            self._note_duration(slot, current, now_s)
            slot.current, slot.successor = successor, None
            if successor.replace_reason is not None:
                slot.replace_at_s = now_s + HANDOVER_S
            return [Retire(current.number, reason, successor.number if proven else None)]
        if heard_s is None and not proven and now_s - successor.opened_s > self._silent_s:
            slot.successor = None
            slot.retry_at_s = now_s + slot.delay.next_delay_s(0.0)
            return [Retire(successor.number, SILENT, current.number)]
        return []

    def _dial(self, slot: _Slot, now_s: float) -> Dial | None:
        if now_s < max(slot.retry_at_s, slot.stand_down_s):
            return None
        if slot.current is None:
            slot.current = dialled = self._new_connection(slot.ordinal)
        elif slot.successor is None and slot.current.replace_reason is not None and now_s >= slot.replace_at_s:
            slot.successor = dialled = self._new_connection(slot.ordinal)
        else:
            return None
        return Dial(dialled.number)


def _connections_of(slot: _Slot) -> tuple[ConnectionState, ...]:
    return tuple(one for one in (slot.current, slot.successor) if one is not None)


def _fraction(text: str) -> float:
    return crc32(text.encode()) / 2**32
