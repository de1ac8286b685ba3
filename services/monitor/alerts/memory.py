"""Keeps over a restart which alerts were sent: a file in the run directory.

Without it a monitor that is restarted would send every open alert again, and never say that one is over. In
and out: JSON of `Notified`. Main thread only.
"""

import logging
from pathlib import Path

import msgspec

from services.monitor.alerts.alerts import Alerts, Notified
from services.runtime.files import replace_file

FILE = "monitor-alerts.json"
_log = logging.getLogger(__name__)


class Memory:
    """The file of one `Alerts`: read when this is made, written whenever alerts are opened or closed.

    A file that cannot be read or written is logged, and costs a repeated alert at worst: alerting goes on.
    """

    def __init__(self, path: Path, alerts: Alerts, now_s: float, now_ms: int) -> None:
        """Read the file and restore `alerts` from it; `now_s` and `now_ms` are one moment of both clocks."""
        self._path = path
        self._alerts = alerts
        self._is_failing = False
        found = _read(path)
        if found is not None:
            alerts.restore(found, now_s, now_ms)
        self._saved = alerts.notified(now_s, now_ms)

    def keep(self, now_s: float, now_ms: int) -> None:
        """Save the state if it has changed; call it before alerts are sent, so that a kill sends none twice.

        The file is replaced as a whole, so that a kill leaves the old one or the new one. A failed write is tried
        again at the next call, and logged once until one succeeds.
        """
        notified = self._alerts.notified(now_s, now_ms)
        if _essence(notified) == _essence(self._saved):
            return
        try:
            replace_file(self._path, msgspec.json.encode(notified))
        except OSError as error:
            if not self._is_failing:
                _log.warning("a restart will not know which alerts are open: %s", error)
            self._is_failing = True
            return
        self._is_failing = False
        self._saved = notified


def _essence(notified: Notified) -> object:
    """Reduce the state to what is worth a write: reasons and times of open problems change all the time.

    A write each second would wear a disk for nothing.
    """
    episodes = {(one.problem.condition, one.problem.severity, one.problem.what, one.times) for one in notified.episodes}
    return episodes, [(one.condition, one.what, one.count) for one in notified.events]


def _read(path: Path) -> Notified | None:
    """Return the saved state; None where there is no file, or where it cannot be read, which is logged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Notified)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning("which alerts are open is not known, so that they are sent again: %s: %s", path, error)
        return None
