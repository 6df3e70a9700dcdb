"""The lifeline: a pipe by which a supervised process notices that its parent is gone, and stops.

Nobody writes to the pipe. The kernel closes the parent's end however the parent dies. Waiting for
that never wakes the process, and works on systems without prctl().
"""

import os
import select
import signal
import stat
import threading
from collections.abc import Callable

VARIABLE = "INNGESTPY_LIFELINE_FD"


def stop_with_supervisor(environment: dict[str, str], tell: Callable[[], None]) -> None:
    """Stop this process, as SIGTERM does, when the process at the pipe's other end is gone.

    `tell` logs that. Does nothing in a process that was given no pipe.
    """
    given = environment.get(VARIABLE, "")
    if given.isdigit() and _is_pipe(int(given)):
        threading.Thread(
            target=_watch, args=(int(given), tell), name="lifeline", daemon=True
        ).start()


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _watch(pipe: int, tell: Callable[[], None]) -> None:
    select.select([pipe], [], [])
    tell()
    os.kill(os.getpid(), signal.SIGTERM)
