"""Buffered steps are sent on SIGTERM, when the process ends, and when a call is cancelled."""

import os
import signal
import threading
import weakref
from types import FrameType

from .buffers import Buffer, senders

_LAST_SECONDS = 10.0

_buffers: dict[int, Buffer] = {}
_begun = threading.Event()


def begun() -> bool:
    """Say whether the process was told to end: then each step is sent at once."""
    return _begun.is_set()


def watch(call: object, buffer: Buffer) -> None:
    """Send the rest of the buffer if the process ends, or the call is dropped unfinished."""
    _buffers[id(buffer)] = buffer
    weakref.finalize(call, _dropped, buffer)
    install()


def forget(buffer: Buffer) -> None:
    """The call has ended, and has answered what it could not send."""
    _buffers.pop(id(buffer), None)


def install() -> None:
    """Hear of SIGTERM before whoever hears of it now, which frameworks set when they start.

    Only the main thread may. Elsewhere nothing changes: what is left is sent at exit.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous is not None and not isinstance(previous, _Handler):
        signal.signal(signal.SIGTERM, _Handler(previous))


class _Handler:
    """Sends what is buffered, then does what was done before."""

    def __init__(self, previous: object) -> None:
        self._previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Send in a thread: the main thread may be amid a flush, and holds its lock."""
        _begun.set()
        sender = threading.Thread(target=_send_all, daemon=True)
        sender.start()
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            sender.join(_LAST_SECONDS)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _send_all() -> None:
    for buffer in list(_buffers.values()):
        buffer.send_last()


def _dropped(buffer: Buffer) -> None:
    if _buffers.pop(id(buffer), None) is None:
        return
    try:
        senders().submit(buffer.flush)
    except RuntimeError:  # the interpreter ends, and takes no more work for threads
        buffer.send_last()
