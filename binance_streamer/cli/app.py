"""The command `binance-streamer`: the commands, in the order of `--help`, and how they end.

A command is a function in a module of `commands`, named as it is typed: its parameters are the options, its docstring
is the text of `--help`. To add one, write the module, and name its function in `COMMANDS`.
"""

import sys

import typer

from binance_streamer.cli.commands.apply import apply
from binance_streamer.cli.commands.background import restart, start, stop
from binance_streamer.cli.commands.book import book
from binance_streamer.cli.commands.configured import config, init, plan, symbols
from binance_streamer.cli.commands.demo import demo
from binance_streamer.cli.commands.doctor import doctor
from binance_streamer.cli.commands.keys import keys
from binance_streamer.cli.commands.latency import latency
from binance_streamer.cli.commands.logs import logs
from binance_streamer.cli.commands.recorded import export, replay, verify
from binance_streamer.cli.commands.status import status
from binance_streamer.cli.commands.tap import tap
from binance_streamer.cli.commands.trials import chaos, fieldtest
from binance_streamer.cli.commands.up import up
from binance_streamer.cli.errors import NO_ROOM_ERRNOS, CommandError, Exit
from binance_streamer.cli.hints import HINTS
from binance_streamer.cli.options import before_the_command
from binance_streamer.config.schema import ConfigError
from binance_streamer.deploy.interpreter import be_utf8

COMMANDS = (
    *(demo, chaos),
    *(init, symbols, config, plan, doctor, fieldtest, keys),
    *(up, start, stop, restart, apply),
    *(status, logs, latency, tap, book),
    *(verify, replay, export),
)
"""See it work; before recording; record; look at it; check and use what was recorded: the order of docs/commands.md."""

app = typer.Typer(
    name="binance-streamer",
    epilog="Exit codes: 0 done; 1 something is missing or does not run; 2 wrong command line, or `verify` could "
    "not check everything; 69 no supervisord to talk to, or one in the way; 78 the configuration is not valid; "
    "130 cut short by Ctrl-C.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.callback()(before_the_command)
for command in COMMANDS:
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, then end the process with one of the codes of `Exit`.

    `arguments` are the words behind the program's name; None: those of this process. The two errors that a user can
    mend, and a disk that is full, become one line on stderr; any other exception is a bug, and shows its traceback.
    """
    if arguments is None:
        be_utf8()
    HINTS.config_path = None
    try:
        app(arguments)
    except ConfigError as error:
        _end(str(error), Exit.CONFIG)
    except CommandError as error:
        _end(str(error), error.code)
    except OSError as error:
        if error.errno not in NO_ROOM_ERRNOS:
            raise
        _end(f"no room to write: {error}: make some on that disk", Exit.INCOMPLETE)


def _end(message: str, code: Exit) -> None:
    """Print the error with commands that can be pasted, and end the process with this code."""
    sys.stderr.write(f"binance-streamer: {HINTS.in_text(message)}\n")
    sys.exit(code)
