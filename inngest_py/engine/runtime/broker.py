"""The broker as one process sees it: away from the first failure on, back once it answers.

A caller whose publish fails says so (`lost`). From then on the broker is checked every half second
until it answers. `reachable` checks it now: the process's last message may be long ago.
"""

import os
import threading
import time
from collections.abc import Callable

from ... import observe

# For reachable(), a broker that needs longer is away.
_ANSWER_SECONDS = 1.5
_KEPT_SECONDS = 1.0
_DELAY_SECONDS = 0.5
_WATCH_SECONDS = 5.0
# A broker that answers but refuses messages is checked less and less often.
_STEADY_SECONDS = 5.0
_MOST_DELAY = 30.0
_MOST_WORDS = 200


class _Check:
    """One try to reach the broker; callers wait for its end."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.over = threading.Event()
        self.error: BaseException | None = None

    def fresh(self) -> bool:
        return not self.over.is_set() or time.monotonic() < self.at + _KEPT_SECONDS


class Broker:
    """Whether the broker can be reached; one log line when it goes, one when it returns.

    `reach` makes a connection of its own, and raises what the transport raises. After `patience`
    seconds without an answer the broker is away.
    """

    def __init__(self, reach: Callable[[], object], *, patience: float = 5.0) -> None:
        self._reach = reach
        self._patience = patience
        self._begin()

    def _begin(self) -> None:
        """Set up for this process: a thread does not survive a fork."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._check: _Check | None = None
        self._away = False
        self._back_at = -_STEADY_SECONDS
        self._delay = _DELAY_SECONDS
        self._watched_at = -_WATCH_SECONDS

    @property
    def away(self) -> bool:
        """Whether the last try to reach it failed; tries nothing itself."""
        return self._away and self._pid == os.getpid()

    def ask(self) -> None:
        """Start a check now, so that reachable() waits for less time."""
        self._current_check()

    def reachable(self) -> bool:
        """Check it, for a second and a half at most; an answer counts for a second."""
        check = self._current_check()
        check.over.wait(max(0.0, check.at + _ANSWER_SECONDS - time.monotonic()))
        return check.over.is_set() and check.error is None

    def watch(self) -> None:
        """Check it in the background, every five seconds at most; call it before sending.

        A message to a frozen broker seems sent: AMQP does not wait for an answer to it.
        """
        now = time.monotonic()
        if now < self._watched_at + _WATCH_SECONDS:
            return
        self._watched_at = now
        threading.Thread(target=self._judge, args=(self._current_check(),), daemon=True).start()

    def lost(self, error: BaseException) -> None:
        """Say that it could not be reached; check it from now on until it can."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            if self._away:
                return
            self._away = True
            steady = time.monotonic() > self._back_at + _STEADY_SECONDS
            self._delay = _DELAY_SECONDS if steady else min(2 * self._delay, _MOST_DELAY)
        cause = {"exc_info": error} if _is_unexpected(error) else {}
        observe.event("broker.away", level=40 if cause else 30, error=_words(error), **cause)
        threading.Thread(target=self._until_back, name="broker", daemon=True).start()

    def _until_back(self) -> None:
        while True:
            time.sleep(self._delay)
            check = _Check()
            self._try(check)
            if check.error is None:
                break
        self._back_at = time.monotonic()
        self._away = False
        observe.event("broker.back")

    def _current_check(self) -> _Check:
        """Return the check that is under way or has just ended; else start one."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            if self._check is None or not self._check.fresh():
                self._check = _Check()
                ask = threading.Thread(target=self._run_check, args=(self._check,), daemon=True)
                ask.start()
            return self._check

    def _run_check(self, check: _Check) -> None:
        self._try(check)
        if check.error is not None:
            self.lost(check.error)

    def _judge(self, check: _Check) -> None:
        if not check.over.wait(self._patience):
            self.lost(TimeoutError(f"no answer within {self._patience:g} seconds"))

    def _try(self, check: _Check) -> None:
        try:
            self._reach()
        except Exception as error:  # any transport's own errors
            check.error = error
        check.over.set()


def _is_unexpected(error: BaseException) -> bool:
    """Say whether it is none of a transport's own errors, nor of the system: perhaps a bug."""
    return type(error).__module__ == "builtins" and not isinstance(error, OSError)


def _words(error: BaseException) -> str:
    """Give the first line of the transport's message; the error's name if there is none."""
    said = str(error).strip().partition("\n")[0][:_MOST_WORDS]
    return said or type(error).__name__
