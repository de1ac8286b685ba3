"""Every reason that the product writes into a gap row has its fault, and a line in docs/files.md."""

import ast
import re

from binance_streamer.wire.gap_reasons import EXCHANGE, FAULT_OF_REASON, HOST, NETWORK, OUR_LOSSES, SOFTWARE, fault_of
from services.ingest.streams import gaps
from services.rest.market import series_record
from services.runtime.gaps import stream_states
from services.writer.store import losses
from tests.architecture.sources import modules
from tests.support.data import REPOSITORY

WRITTEN = {
    *(gaps.SEQUENCE, gaps.RESTART, gaps.DISCONNECTED, gaps.WENT_BACK, gaps.STALL, gaps.FRAME_ERROR, gaps.OVERSIZE),
    *(stream_states.OVERSIZE, stream_states.JOURNAL_FULL),
    *(losses.LOST, losses.DAMAGED),
    *(series_record.SEQUENCE, series_record.RESTART, series_record.NOT_ANSWERED),
}
_GAP_MAKERS = {"Gap": 8, "GapChange": 8, "OpenGap": 5, "Hole": 6, "_Loss": 7}
"""The place of the reason among the arguments of what makes a gap."""


def test_every_reason_that_is_written_has_a_fault_and_none_else() -> None:
    assert set(FAULT_OF_REASON) == WRITTEN
    assert set(FAULT_OF_REASON.values()) == {EXCHANGE, NETWORK, HOST, SOFTWARE}
    assert set(FAULT_OF_REASON) >= OUR_LOSSES
    assert fault_of("moths") == "unknown"


def test_reasons_are_named_by_the_constants_above() -> None:
    """A gap that is made with a text of its own would escape the table."""
    literal = []
    for module in modules("services"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _GAP_MAKERS:
                given = [
                    *node.args[_GAP_MAKERS[node.func.id] :][:1],
                    *(k.value for k in node.keywords if k.arg == "reason"),
                ]
                literal += [f"{module.path}:{one.lineno}" for one in given if isinstance(one, ast.Constant)]
    assert literal == []


def test_the_page_has_the_same_faults() -> None:
    page = (REPOSITORY / "docs" / "files.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z ]+)` \| (exchange|network|this host|this software) \|", page, flags=re.MULTILINE)
    assert dict(rows) == FAULT_OF_REASON
