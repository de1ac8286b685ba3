"""For `doctor`: says whether rows are made compiled; `python -m services.writer.probe`."""

import sys

from binance_streamer.deploy.interpreter import module_command
from binance_streamer.wire.check_lines import Check, line_of
from services.writer import kernel


def main() -> int:
    """Print the check; nothing is missing where there is no kernel, but rows take more CPU."""
    print(line_of(check(kernel.state)))  # noqa: T201
    return 0


def check(state: str) -> Check:
    """Return the check of a kernel in this state."""
    if state != kernel.NOT_BUILT:
        return Check("compiled kernel", "ok", state)
    command = " ".join(module_command("services.writer.kernel.build"))
    advice = f"to save CPU: a C compiler, the headers of Python, and `{command}`"
    return Check("compiled kernel", "ok", "not built, rows are made in Python", advice)


if __name__ == "__main__":
    sys.exit(main())
