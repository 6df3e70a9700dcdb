"""What goes wrong on purpose: calls that fail, answers that are lost, a server that dies."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..domain.reply.read import Reply
from ..domain.values.ids import step_hash
from ..domain.values.json_types import JsonObject
from . import arguments
from .engine import ServerCrash
from .errors import InngestTestError, NeverMet
from .mocks import ops_of

# how a call fails without an answer, and what the server's transport says then
REFUSED, TIMED_OUT, CUT = "connection refused", "timed out", "the connection was cut"
NO_ANSWER = (REFUSED, TIMED_OUT, CUT)
BEFORE_COMMIT, AFTER_COMMIT, ANSWER_LOST = "before commit", "after commit", "answer lost"
MOMENTS = (BEFORE_COMMIT, AFTER_COMMIT, ANSWER_LOST)


@dataclass(slots=True)
class Failure:
    """The next `left` calls of a function, or of any with None, fail like this."""

    reply: Reply
    function: str | None
    left: int
    told: str


@dataclass(slots=True)
class Crash:
    """The server, or the answer, is lost once after a step of a function."""

    function: str
    step: str
    when: str


@dataclass(slots=True)
class Faults:
    """The faults that a test has prepared."""

    _failures: list[Failure] = field(default_factory=list)
    _crashes: list[Crash] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at_checkpoint: Crash | None = None  # the call during which it came has not ended

    def fail(self, function: str | None, status: int | None, error: str | None, times: int) -> None:
        """Prepare failing calls. Raises InngestTestError for what is no failure."""
        if status is not None and error is not None:
            raise InngestTestError("fail_next_call: give status or error, not both")
        if error is not None and error not in NO_ANSWER:
            raise InngestTestError(f"fail_next_call: error must be one of {NO_ANSWER}: {error!r}")
        if status is not None and not (isinstance(status, int) and 300 <= status <= 599):
            raise InngestTestError(f"fail_next_call: status must be 300 to 599: {status!r}")
        arguments.count("fail_next_call", "times", times)
        if status is None:
            reply = Reply(unreachable=error or REFUSED)
        else:
            reply = Reply(status, {}, b"fail_next_call")
        told = f"status={status}" if error is None else f"error={error!r}"
        self._failures.append(Failure(reply, function, times, told))

    def crash(self, function: str, step: str, when: str) -> None:
        """Prepare a crash. Raises InngestTestError for an unknown moment."""
        arguments.text("crash_after_step", "step", step)
        if when not in MOMENTS:
            raise InngestTestError(f"crash_after_step: when must be one of {MOMENTS}: {when!r}")
        self._crashes.append(Crash(function, step, when))

    def failure(self, function: str) -> Reply | None:
        """Return how the call that is to be made now fails; None if it does not."""
        with self._lock:
            for failure in self._failures:
                if failure.left and failure.function in (None, function):
                    failure.left -= 1
                    return failure.reply
        return None

    def after(self, function: str, reply: Reply, crash_after_commit: Callable[[], None]) -> Reply:
        """Let an answer pass, or lose it. Raises ServerCrash."""
        checkpointed, self._at_checkpoint = self._at_checkpoint, None
        crash = checkpointed or self._due(function, ops_of(reply))
        if crash is None:
            return reply
        if checkpointed is not None and crash.when == AFTER_COMMIT:
            raise ServerCrash
        if crash.when == BEFORE_COMMIT:
            raise ServerCrash
        if crash.when == AFTER_COMMIT:
            crash_after_commit()
            return reply
        return Reply(unreachable=CUT)

    @property
    def is_dead(self) -> bool:
        """Whether the server has died at a checkpoint of the call that goes on."""
        return self._at_checkpoint is not None

    def at_checkpoint(self, function: str, ops: Sequence[JsonObject]) -> Crash | None:
        """Return the crash that comes at a checkpoint; the call's answer is lost, too."""
        self._at_checkpoint = self._due(function, ops)
        return self._at_checkpoint

    def _due(self, function: str, ops: Sequence[JsonObject]) -> Crash | None:
        if not self._crashes:
            return None
        ran = {str(op.get("id")) for op in ops if op.get("op") != "StepPlanned"}
        with self._lock:
            for crash in self._crashes:
                if crash.function == function and step_hash(crash.step) in ran:
                    self._crashes.remove(crash)
                    return crash
        return None

    def check(self) -> None:
        """Raise NeverMet for what has not happened."""
        for failure in self._failures:
            if failure.left:
                raise NeverMet(f"fail_next_call({failure.told}): no call was made after it")
        for crash in self._crashes:
            raise NeverMet(
                f"crash_after_step({crash.function!r}, {crash.step!r}): no run executed that step"
            )
