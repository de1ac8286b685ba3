"""Makes the lines of messages in spellings that were seen before, by the compiled kernel and without decoding them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from binance_streamer.exchange.rows import RowForm
from services.runtime.delivery.events import Known, MessageColumns
from services.writer.rows.layout import Lines
from services.writer.rows.spelling import spelling_of

if TYPE_CHECKING:
    from services.writer.kernel._kernel import Template

_MOST_TEMPLATES = 4
"""Of one stream, the newest first: each is tried for what those before it do not fit."""
_MOST_LEARNT = 32
"""Messages from which a template is made, or tried; a stream that changes its spelling more often is decoded."""


class SpeltRows:
    """The spellings of one stream, learnt from messages that were decoded."""

    def __init__(self, form: RowForm, template_class: "type[Template]") -> None:
        self._form = form
        self._template_class = template_class
        self._templates: list[Template] = []
        self._left = _MOST_LEARNT

    def lines(self, messages: MessageColumns[Known], epoch: int) -> Lines | None:
        """Return the lines of messages, None for each one that has to be decoded; None where all of them have to."""
        if not self._templates:
            return None
        _, seqs, stamps_ns, events = messages
        found = Lines([None] * len(events), [None] * len(events))
        for template in self._templates:
            if not template.lines(seqs, stamps_ns, events, b"%d" % epoch, *found):
                break
        return found

    def learn(self, event: bytes, row: tuple[bytes, bytes, int | None], cell: Callable[[str, str], bytes]) -> None:
        """Learn the spelling of a message that has a row: its own columns, the cell `extra`, and the time of its day.

        `cell` gives the cell of a column and key. Nothing is learnt where the template would make another row.
        """
        if not self._left:
            return
        self._left -= 1
        spelling = spelling_of(event, self._form)
        columns, extra, day_ms = row
        if spelling is None or self._form.day not in spelling.whole_keys:
            return
        steps, tail, keys = spelling
        cells = [keys.index(key) if key in keys else cell(column, key) for column, key in self._form.columns]
        template = self._template_class(steps, tail, tuple(cells), extra, keys.index(self._form.day))
        found = Lines([None], [None])
        template.lines([1], [2], [event], b"3", *found)
        if found == ([b"%b,2,3,1,ws,%b\n" % (columns, extra)], [day_ms]):
            self._templates = [template, *self._templates[: _MOST_TEMPLATES - 1]]
