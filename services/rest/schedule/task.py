"""A task is one of the things that the exchange is asked for; a request is one GET that a task wants.

| the scheduler calls | when |
|---|---|
| `next` | it looks for the next request; the task says what it wants now, and wants it until it is told of an answer |
| `good` | the exchange answered with 200 |
| `refused` | the exchange said that it does not give this; asking others for the same is still welcome |
| `failed` | no answer came, or not to what was asked |

Whether the address is banned, and how long a group of requests is left alone, is not for a task to say.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from binance_streamer.exchange.series_types import RequestLimit
from services.rest.answers import RestAnswer

Subject = TypeVar("Subject")


class Moment(NamedTuple):
    """One moment, on the clock of delays and on the exchange's."""

    s: float
    """Monotonic seconds."""
    exchange_ms: int
    """Milliseconds since 1970, UTC, by the exchange's clock as far as it is known."""


class RestRequest(NamedTuple, Generic[Subject]):
    """A GET. `subject` is for what its task asks: a symbol, a range of rows, or nothing."""

    path: str
    """With its query."""
    weight: int
    """Of the exchange's limit a minute (docs/exchange.md §4)."""
    group: str
    """Requests of one group fail and succeed together: after a failure none of them is sent for a while."""
    task: "Task[Subject]"
    subject: Subject
    limit: RequestLimit | None = None
    """One that counts requests, beside that of the weight."""


class Task(ABC, Generic[Subject]):
    """Something that the exchange is asked for, again and again or when somebody wants it."""

    refused_by: ClassVar[tuple[int, ...]] = (400,)
    """HTTP statuses that say "not this"; any other bad status is a failure."""

    @abstractmethod
    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[Subject] | None:
        """Return the request that is wanted now, None where none is.

        It may be called many times before a request leaves, also only to learn how long to wait: it changes nothing.
        `delayed` are the groups that are left alone after failures; a request of one of them is not sent, so that a
        task with several groups looks for one of another.
        """

    @abstractmethod
    def good(self, request: RestRequest[Subject], answer: RestAnswer, now: Moment) -> None:
        """Take the answer; raise `AnswerError` where it is not one to what was asked, which counts as a failure.

        What is recorded goes to a `FrameSink`. While that `is_full` nothing is kept: who has to have it in the files
        wants the same request again.
        """

    def refused(self, request: RestRequest[Subject], answer: RestAnswer, now: Moment) -> bool:
        """Take it that the exchange does not give this. Return False where that counts as a failure, as it does here.

        After True the group goes on at once: a task that returns True must not want the same request again at once.
        """
        return False

    def failed(self, request: RestRequest[Subject], now: Moment) -> None:
        """Take it that no answer came. The scheduler delays the group of the request; most tasks need no more."""


AnyTask = Task[Any]
AnyRequest = RestRequest[Any]
