"""The lifeline: a worker that a server supervises ends when the server is gone.

It is a pipe that nobody writes to. The kernel closes the server's end however the server dies;
waiting for that costs no wakes, and works where there is no prctl().
"""

import os
import select
import signal
import stat
import threading

from ... import observe

VARIABLE = "INNGESTPY_LIFELINE_FD"


def hold(environment: dict[str, str]) -> None:
    """Stop this process, as SIGTERM does, when who holds the other end is gone.

    Does nothing in a process that was given no line.
    """
    given = environment.get(VARIABLE, "")
    if given.isdigit() and _is_pipe(int(given)):
        threading.Thread(target=_watch, args=(int(given),), name="lifeline", daemon=True).start()


def _is_pipe(line: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(line).st_mode)
    except OSError:
        return False


def _watch(line: int) -> None:
    select.select([line], [], [])
    observe.event("worker.orphaned", level=30)
    os.kill(os.getpid(), signal.SIGTERM)
