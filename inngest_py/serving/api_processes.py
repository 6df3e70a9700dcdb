"""Several API processes on one port: what their parent gives to each, and how it keeps them.

The parent listens, and the processes accept from its sockets. So a process that dies takes no
connection with it but its own, and who connects meanwhile gets another one.
"""

import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .. import observe
from ..config import Settings
from ..config_reading import to_environment
from .supervisor import CUT_SECONDS, LATER_SECONDS, Supervisor

_VARIABLE = "INNGESTPY_API_PROCESS"
_FOLDER = "INNGESTPY_METRICS_FOLDER"


@dataclass(frozen=True, slots=True)
class Given:
    """What an API process has from its parent: its number, its sockets, its folder of metrics.

    `connect` is the descriptor of the socket for workers; None if they come by that of the API.
    """

    number: int
    api: int
    connect: int | None
    folder: Path


def given(environ: Mapping[str, str]) -> Given | None:
    """Read what the parent gave; None in a process without one."""
    text = environ.get(_VARIABLE)
    if not text:
        return None
    number, api, connect = text.split(":")
    return Given(int(number), int(api), int(connect) if connect else None, Path(environ[_FOLDER]))


class ApiProcesses(Supervisor):
    """Keeps `settings.api_processes` API processes alive, which accept from one socket."""

    def __init__(
        self, settings: Settings, api: socket.socket, connect: socket.socket | None, folder: Path
    ) -> None:
        super().__init__(settings.api_processes)
        self._api, self._connect, self._folder = api, connect, folder
        # the parent waits for balancers; each process begins to drain when it is told to
        self._settings = replace(settings, drain_delay_seconds=0.0)

    def unready(self) -> None:
        """Have `/health/ready` of every process say 503; they serve on."""
        self.send(signal.SIGUSR1)

    def stop(self, seconds: float) -> None:
        """Take no more connections; let every process answer its requests for so long.

        Processes that have not ended by then cut their requests, or are killed a moment later.
        """
        self._stopping.set()
        self._close()
        if not self.end(signal.SIGTERM, seconds + LATER_SECONDS):
            self.cut()

    def cut(self) -> None:
        """End every process at once."""
        self._stopping.set()
        self._close()
        self.end(signal.SIGQUIT, CUT_SECONDS)
        self.kill()

    def _close(self) -> None:
        """Close the sockets here: while one is open, the kernel takes connections for it."""
        for one in self._sockets():
            with suppress(OSError):
                one.close()

    def _sockets(self) -> list[socket.socket]:
        return [self._api] if self._connect is None else [self._api, self._connect]

    def command(self, number: int) -> list[str]:
        return [sys.executable, "-m", "inngest_py", "api"]

    def environment(self, number: int) -> dict[str, str]:
        connect = "" if self._connect is None else self._connect.fileno()
        return {
            **to_environment(self._settings),
            "INNGEST_CONFIG": "",  # the parent has read it
            _VARIABLE: f"{number}:{self._api.fileno()}:{connect}",
            _FOLDER: str(self._folder),
        }

    def files(self) -> Sequence[int]:
        return [one.fileno() for one in self._sockets()]

    def tell_died(self, number: int, code: int | None, again_in: float) -> None:
        observe.event("server.process_died", level=40, process=number, code=code, again_in=again_in)

    def tell_not_started(self, number: int, error: OSError) -> None:
        observe.event("server.process_not_started", level=40, process=number, error=error.strerror)
