"""Questions that need the extra `days` are refused without it, with a message that says what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("question", ["rows", "book"])
@pytest.mark.parametrize("missing", ["polars", "deltalake"])
def test_without_the_extra_it_is_named(question: str, missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from binance_streamer.days.reading.location import Location\n"
        "from services.monitor.reader.answers import ApiQuestion\n"
        "from services.monitor.reader.questions import answer_to\n"
        f"answer = answer_to(ApiQuestion({question!r}, 'symbol=BTCUSDT'), Location(None, ''))\n"
        "answer.write(sys.stdout.buffer)\n"
        "sys.exit(answer.status % 256)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.returncode == 501 % 256, found.stderr
    assert f"needs {missing}: `pip install 'binance-streamer[days]'`" in found.stdout
