"""`supervisord.conf`, generated from our configuration: one file with a section for each process. Text out.

`up` runs supervisord with it in the foreground (`-n`), `start` in the background, and whoever likes supervisor's own
commands runs `supervisord -c supervisord.conf`. `apply` writes it anew and has supervisord take what changed.

Every process is an ungrouped program: adding one to a group, or raising `numprocs`, would restart the others
(supervisor 4.3, measured). Program names are percent-encoded, so that any symbol the exchange lists is a name that
supervisorctl takes, and no two symbols share one: `ingest-BTCUSDT`, `ingest-%E5%B8%81…`.
"""

import configparser
import re
import shlex
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from binance_streamer.config.groups import is_part
from binance_streamer.config.schema import Config, ConfigError
from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.deploy.digest import SETTINGS_VARIABLE, kept_file, settings_of
from binance_streamer.deploy.interpreter import FLAGS

SOCKET_NAME = "supervisord.sock"
PID_NAME = "supervisord.pid"
MAX_SOCKET_PATH_BYTES = 107 - len(".4194304")
"""sun_path of unix(7), less what supervisord appends while it binds: a dot and its pid."""

_BUS, _WRITER, _REST, _ORDERBOOK, _MONITOR, _ARCHIVER, _INGEST, _STANDBY = 10, 20, 30, 35, 36, 37, 40, 45
_STOP_WAIT_S = {"writer": 30}
_PARTNERS = {"ingest": "standby", "standby": "ingest"}
_PACKAGE = Path(__file__).resolve().parents[1]
_has_special_character = re.compile(r"[][%*?;#\"'\\]").search
_has_control_character = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]").search


class Program(NamedTuple):
    """One process. Programs of low priority start first and stop last."""

    name: str
    arguments: tuple[str, ...]
    priority: int
    stop_wait_s: int = 15
    settings: str = ""


class Site(NamedTuple):
    """Where supervisord runs. All paths are absolute.

    `root` holds `supervisord.conf` and is the working directory of every process. `state` holds socket, pid file and
    the programs' stdout; it must exist before supervisord starts. `python`, where it is no path, is looked for in
    `path` first, then in supervisord's PATH.
    """

    root: Path
    state: Path
    python: str
    path: Path | None = None

    @property
    def main(self) -> Path:
        """The path of the generated file."""
        return self.root / "supervisord.conf"


def state_directory(config: Config) -> Path:
    """Return the folder of supervisord's socket, pid file and logs.

    Beside the run directory, not in it: supervisord refuses to start where the directory is missing, and the run
    directory (mode 0700) is made by our processes.
    """
    return Path(f"{config.endpoints.run_directory}.supervisor")


def control_socket(state: Path) -> Path:
    """Return the unix socket at which supervisorctl and our command line speak to supervisord."""
    return state / SOCKET_NAME


def site_of(config: Config, config_path: Path) -> Site:
    """Return the site of a configuration: `supervisord.conf` lies beside the YAML, or above a folder named `config`.

    In a checkout it is committed. So it names no path of this machine there: Python is looked for in `.venv/bin`, then
    in PATH. Elsewhere it is the Python that runs us.
    """
    folder = config_path.resolve().parent
    root = folder.parent if folder.name == "config" else folder
    if root == _PACKAGE.parent:
        return Site(root, state_directory(config), "python", path=root / ".venv" / "bin")
    return Site(root, state_directory(config), sys.executable)


def programs(config: Config, config_path: Path, services: Collection[str]) -> list[Program]:
    """Return the programs of a configuration, in the order of their start; `services` are those that are installed."""

    def program(service: str, priority: int, worker: str = "") -> Program:
        option = "--worker" if is_part(worker) else "--symbol"
        return Program(
            ingest_name(worker) if worker else service,
            ("-m", f"services.{service}", *((option, worker) if worker else ()), "-c", str(config_path)),
            priority,
            stop_wait_s=_STOP_WAIT_S.get(service, 15),
            settings=settings_of(config, config_path, service, worker),
        )

    wanted = {"bus": _BUS, "writer": _WRITER, "rest": _REST}
    if config.orderbook.enabled:
        wanted["orderbook"] = _ORDERBOOK
    if config.monitor.enabled:
        wanted["monitor"] = _MONITOR
    if config.storage.lake:
        wanted["archiver"] = _ARCHIVER
    found = [program(service, priority) for service, priority in wanted.items() if service in services]
    found += [program("ingest", _INGEST, worker) for worker in config.workers]
    return found + [_standby_of(program("ingest", _INGEST, symbol.symbol)) for symbol in config.named if symbol.standby]


def _standby_of(worker: Program) -> Program:
    """Return the second worker of a symbol, which starts behind the first one."""
    arguments = (*worker.arguments, "--standby")
    return worker._replace(name=partner_name(worker.name), arguments=arguments, priority=_STANDBY)


def symbol_of(name: str) -> str | None:
    """Return the symbol of an ingest worker's program or journal; None of others."""
    kind, dash, symbol = name.partition("-")
    return decode_name(symbol) if kind == "ingest" and dash else None


def worker_symbol(name: str) -> str | None:
    """Return the symbol of a program that records it, or waits to do so; None of others."""
    kind, dash, symbol = name.partition("-")
    return decode_name(symbol) if kind in _PARTNERS and dash else None


def partner_name(name: str) -> str:
    """Return the program of the other worker of a symbol: of `ingest-BTCUSDT` it is `standby-BTCUSDT`, and back."""
    kind, _, symbol = name.partition("-")
    return f"{_PARTNERS[kind]}-{symbol}"


def ingest_name(symbol: str) -> str:
    """Return the name of a symbol's worker, which its process, its journal and its program have."""
    return f"ingest-{encode_name(symbol)}"


def program_name(given: str) -> str:
    """Return the program that a user means by `writer`, `ingest-币安人生USDT` as typed, or already encoded."""
    kind, dash, symbol = given.partition("-")
    return f"{kind}-{encode_name(symbol)}" if kind in _PARTNERS and dash and "%" not in symbol else given


def text_of(site: Site, wanted: Collection[Program]) -> str:
    """Return the text of `supervisord.conf` with these programs, in their order."""
    return "\n".join([_main(site), *(_program(site, program) for program in wanted)])


def program_sections(text: str) -> Mapping[str, str]:
    """Return the sections of programs in a generated `supervisord.conf`, by the program's name."""
    sections = (section.strip() for section in text.split("\n[program:")[1:])
    return {section.partition("]")[0]: section for section in sections}


def _main(site: Site) -> str:
    root, state = _place(site.root, site), _place(site.state, site)
    return f"""; Generated by `binance-streamer apply` from the YAML that -c names below: change that one instead.
; The supervisord.conf of a checkout's root is for its example, config/streamer.yaml. After `binance-streamer init` all
; commands use recording/streamer.yaml, with a supervisord.conf of its own beside it.
; modes.<mode>.run_duration ends `binance-streamer up`; a supervisord that stays ignores it.

[supervisord]
directory={root}
logfile={state}/supervisord.log
logfile_maxbytes=1MB
logfile_backups=3
pidfile={state}/{PID_NAME}
childlogdir={state}
umask=027
minfds=4096

[unix_http_server]
file={state}/{SOCKET_NAME}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{state}/{SOCKET_NAME}
"""


def _program(site: Site, program: Program) -> str:
    """`startretries`: a program that fails at once is tried for ever, not given up after three times.

    PATH is extended here and not for all in `[supervisord]`: there it would grow at every reread, and every program
    count as changed and be restarted (supervisor 4.3, seen).
    """
    command = _escaped(shlex.join([site.python, *FLAGS, *(_argument(word, site) for word in program.arguments)]))
    variables = [f"PATH={_quoted(f'{_place(site.path, site)}:%(ENV_PATH)s')}"] if site.path else []
    if program.settings:
        kept = kept_file(site.state, program.settings)
        variables.append(f"{SETTINGS_VARIABLE}={_quoted(_place(kept, site))}")
    environment = f"environment={','.join(variables)}\n" if variables else ""
    log_name = program.name.replace("%", "=")  # supervisor 4.3 expands log paths twice; no encoded name has a "="
    log = _place(site.state / f"{log_name}.log", site, expansions=2)
    return f"""[program:{program.name}]
command={command}
directory={_place(site.root, site)}
{environment}priority={program.priority}
autostart=true
autorestart=true
startsecs=1
startretries=1000000000
stopsignal=TERM
stopwaitsecs={program.stop_wait_s}
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=1
"""


def _argument(word: str, site: Site) -> str:
    """Return a word of a command line; a path inside the site relative to its root, where programs run."""
    path = Path(word)
    return str(path.relative_to(site.root)) if path.is_absolute() and path.is_relative_to(site.root) else word


def _place(path: Path, site: Site, *, expansions: int = 1) -> str:
    """Return a path as the file names it: inside the site by `%(here)s`, so that a checkout may lie anywhere."""
    if not path.is_relative_to(site.root) or _has_special_character(str(site.root)) is not None:
        return _escaped(str(path), expansions=expansions)  # supervisor puts `%(here)s` in unescaped
    return "/".join(
        ["%(here)s", *(_escaped(part, expansions=expansions) for part in path.relative_to(site.root).parts)]
    )


def _escaped(text: str, *, expansions: int = 1) -> str:
    """Return a value such that supervisor reads it back: it expands `%`, of logs twice; ` ;` and ` #` begin comments.

    Those, white space at an end and a literal `%(here)s` are kept by `%(here).0s`, which is expanded to nothing.
    """
    if _has_control_character(text) is not None:
        raise ConfigError(
            f"{text!r}: supervisor's files cannot hold a path with a control character: rename the folder"
        )
    text = text.replace("%", "%" * 2**expansions).replace("%(here)s", "%%(here).0s(here)s")
    return re.sub(r"(?<=\s)(?=[;#])|(?<=\s)$|^(?=\s)", "%(here).0s", text)


def _quoted(value: str) -> str:
    """Return the value of a variable in quotes, which supervisor takes off; it knows no escapes."""
    quote = next((mark for mark in "\"'" if mark not in value), None)
    if quote is None:
        raise ConfigError(
            f"{value}: supervisor's files cannot hold a path with both kinds of quotes: rename the folder"
        )
    return f"{quote}{value}{quote}"


def configured_socket(main: Path) -> Path | None:
    """Return the control socket that a `supervisord.conf` names; None where there is no such file, or it names none."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    try:
        parser.read_string(main.read_text(encoding="utf-8"))
        found = parser["unix_http_server"]["file"]
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError):
        return None
    try:
        return Path(found.replace("%(here)s", str(main.parent)) % {"here": ""})
    except (KeyError, TypeError, ValueError):
        return None  # of somebody else's making
