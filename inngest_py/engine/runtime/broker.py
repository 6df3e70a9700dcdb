"""The broker as one process knows it: away from the first failure on, back once it answers.

Whoever fails says so (`lost`); from then on it is asked every half second until it answers. Who
wants to know (`reachable`) asks now: what a process knew of its last message may be long ago.
"""

import os
import threading
import time
from collections.abc import Callable

from ... import observe

# A broker that needs longer is as good as away for whom asks.
_ANSWER_SECONDS = 1.5
_KEPT_SECONDS = 1.0
_PAUSE_SECONDS = 0.5
_WATCH_SECONDS = 5.0
# One that answers and yet refuses messages is asked less and less often.
_STEADY_SECONDS = 5.0
_MOST_PAUSE = 30.0
_MOST_WORDS = 200


class _Question:
    """One try to reach the broker, and who waits for its end."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.over = threading.Event()
        self.error: BaseException | None = None

    def fresh(self) -> bool:
        return not self.over.is_set() or time.monotonic() < self.at + _KEPT_SECONDS


class Broker:
    """Whether the broker can be reached; one log line when it goes, one when it returns.

    `reach` makes a connection of its own, and raises what the transport raises. After `patience`
    seconds without an answer a broker is away.
    """

    def __init__(self, reach: Callable[[], object], *, patience: float = 5.0) -> None:
        self._reach = reach
        self._patience = patience
        self._begin()

    def _begin(self) -> None:
        """Set up for this process: a thread does not cross a fork."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._question: _Question | None = None
        self._away = False
        self._back_at = -_STEADY_SECONDS
        self._pause = _PAUSE_SECONDS
        self._watched_at = -_WATCH_SECONDS

    @property
    def away(self) -> bool:
        """Whether it could not be reached at the last try; asks nobody."""
        return self._away and self._pid == os.getpid()

    def ask(self) -> None:
        """Begin to ask it, for reachable() to wait no longer than from now on."""
        self._question_now()

    def reachable(self) -> bool:
        """Ask it, for a second and a half at the most; an answer is good for a second."""
        question = self._question_now()
        question.over.wait(max(0.0, question.at + _ANSWER_SECONDS - time.monotonic()))
        return question.over.is_set() and question.error is None

    def watch(self) -> None:
        """Have it asked, every five seconds at the most, by who sends messages.

        What a frozen broker is sent seems sent: AMQP waits for no answer to a message.
        """
        now = time.monotonic()
        if now < self._watched_at + _WATCH_SECONDS:
            return
        self._watched_at = now
        threading.Thread(target=self._judge, args=(self._question_now(),), daemon=True).start()

    def lost(self, error: BaseException) -> None:
        """Say that it could not be reached: it is asked from now on until it can."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            if self._away:
                return
            self._away = True
            steady = time.monotonic() > self._back_at + _STEADY_SECONDS
            self._pause = _PAUSE_SECONDS if steady else min(2 * self._pause, _MOST_PAUSE)
        observe.event("broker.away", level=30, error=_words(error))
        threading.Thread(target=self._until_back, name="broker", daemon=True).start()

    def _until_back(self) -> None:
        while True:
            time.sleep(self._pause)
            question = _Question()
            self._try(question)
            if question.error is None:
                break
        self._back_at = time.monotonic()
        self._away = False
        observe.event("broker.back")

    def _question_now(self) -> _Question:
        """Find the question under way or just answered, else begin one."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            if self._question is None or not self._question.fresh():
                self._question = _Question()
                ask = threading.Thread(target=self._answer, args=(self._question,), daemon=True)
                ask.start()
            return self._question

    def _answer(self, question: _Question) -> None:
        self._try(question)
        if question.error is not None:
            self.lost(question.error)

    def _judge(self, question: _Question) -> None:
        if not question.over.wait(self._patience):
            self.lost(TimeoutError(f"no answer within {self._patience:g} seconds"))

    def _try(self, question: _Question) -> None:
        try:
            self._reach()
        except Exception as error:  # any transport's own errors
            question.error = error
        question.over.set()


def _words(error: BaseException) -> str:
    """Give the first line of what the transport says; where it says nothing, the error's name."""
    said = str(error).strip().partition("\n")[0][:_MOST_WORDS]
    return said or type(error).__name__
