"""The lifeline: a pipe by which a supervised worker notices that its server is gone, and stops.

Nobody writes to the pipe. The kernel closes the server's end however the server dies. Waiting for
that never wakes the process, and works on systems without prctl().
"""

import os
import select
import signal
import stat
import threading

from ... import observe

VARIABLE = "INNGESTPY_LIFELINE_FD"


def stop_with_supervisor(environment: dict[str, str]) -> None:
    """Stop this process, as SIGTERM does, when the process at the pipe's other end is gone.

    Does nothing in a process that was given no pipe.
    """
    given = environment.get(VARIABLE, "")
    if given.isdigit() and _is_pipe(int(given)):
        threading.Thread(target=_watch, args=(int(given),), name="lifeline", daemon=True).start()


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _watch(pipe: int) -> None:
    select.select([pipe], [], [])
    observe.event("worker.orphaned", level=30)
    os.kill(os.getpid(), signal.SIGTERM)
