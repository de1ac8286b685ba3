"""Drafts as a test wants to look at them."""

from collections.abc import Iterable, Iterator

from services.runtime.delivery.events import EventRun
from services.runtime.gaps.drafts import Draft


def singles(drafts: Iterable[Draft | EventRun]) -> Iterator[Draft]:
    """The drafts in their order, each run as its messages one by one."""
    for draft in drafts:
        if isinstance(draft, EventRun):
            yield from draft.drafts()
        else:
            yield draft
