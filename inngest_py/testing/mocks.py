"""Steps whose code is not run: their results come from the test.

The app plans such a step and does not run it, as it does with parallel steps. The request to run it
is then answered by the test. So the result takes the engine's whole way.
"""

import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import inngest
import orjson

from ..domain.reply.read import Reply
from ..domain.reply.request import DISCOVERY
from ..domain.values import canonical
from ..domain.values.ids import step_hash
from ..domain.values.json_types import JsonObject
from . import arguments
from .errors import InngestTestError, NeverMet

_PLANNED = "StepPlanned"


@dataclass(slots=True)
class Mock:
    """What a step of a function answers, `times` times; None means always."""

    function: str
    step: str
    output: object
    error: BaseException | None
    times: int | None
    met: int = 0

    def is_for(self, function: str, hashed: str) -> bool:
        """Say whether it answers this step now."""
        if (self.function, step_hash(self.step)) != (function, hashed):
            return False
        return self.times is None or self.met < self.times


@dataclass(slots=True)
class Mocks:
    """The mocks of a test."""

    _mocks: list[Mock] = field(default_factory=list)
    _seen: dict[str, dict[str, str]] = field(default_factory=dict)  # steps, by function
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, mock: Mock) -> None:
        """Add a mock; a later one of the same step answers after the earlier ones."""
        self._mocks.append(mock)

    def _meet(self, function: str, hashed: str) -> Mock | None:
        with self._lock:
            for mock in self._mocks:
                if mock.is_for(function, hashed):
                    mock.met += 1
                    return mock
        return None

    def _has(self, function: str) -> bool:
        return any(mock.function == function for mock in self._mocks)

    def answer(self, function: str, hashed: str, body: bytes) -> Reply | None:
        """Answer the request for a step in place of the app; None if it is not mocked."""
        if hashed == DISCOVERY or not self._has(function):
            return None
        mock = self._meet(function, hashed)
        if mock is None:
            return None
        version = orjson.loads(body).get("version", -1)
        headers = {"x-inngest-sdk": "inngest-py-testing", "x-inngest-req-version": str(version)}
        if mock.error is not None and not _may_retry(mock.error):
            headers["x-inngest-no-retry"] = "true"
        return Reply(206, headers, canonical.dumps([_op(mock, hashed)]))

    def planned(self, function: str, step: str, body: bytes) -> bytes:
        """Ask an app to plan steps and not to run them, if one of the function's is mocked."""
        if step != DISCOVERY or not self._has(function):
            return body
        request = canonical.loads(body)
        request["ctx"]["disable_immediate_execution"] = True
        return canonical.dumps(request)

    def replaced(self, function: str, reply: Reply) -> Reply:
        """Note the steps of an answer; put results in place of mocked sleeps, waits and so on."""
        ops = ops_of(reply)
        if not ops:
            return reply
        seen = self._seen.setdefault(function, {})
        changed = False
        for place, op in enumerate(ops):
            hashed = str(op.get("id"))
            seen[hashed] = str(op.get("displayName") or op.get("name"))
            mock = None if op.get("op") == _PLANNED else self._meet(function, hashed)
            if mock is not None:
                ops[place], changed = _op(mock, hashed), True
        return replace(reply, body=canonical.dumps(ops)) if changed else reply

    def as_steps(self, function: str, reply: Reply) -> Reply:
        """Name mocked sleeps, waits and so on as the steps that runs have in place of them."""
        mocked = {step_hash(mock.step) for mock in self._mocks if mock.function == function}
        ops = ops_of(reply)
        if not any(op.get("id") in mocked for op in ops):
            return reply
        planned = [op | {"op": _PLANNED} if op.get("id") in mocked else op for op in ops]
        return replace(reply, body=canonical.dumps(planned))

    def check(self) -> None:
        """Raise NeverMet for a mock that no run has met."""
        for mock in self._mocks:
            if not mock.met:
                raise NeverMet(
                    f"mock_step({mock.function!r}, {mock.step!r}): no run came to that step;"
                    f" {_named(mock.function, self._seen.get(mock.function))}"
                )


def check_mock(step: object, returns: object, raises: object, times: int | None) -> None:
    """Raise InngestTestError for what is no mock."""
    is_class = isinstance(raises, type) and issubclass(raises, BaseException)
    if not isinstance(step, str) or not step:
        raise InngestTestError(f"mock_step: name the step by its id, not {step!r}")
    if raises is not None and not is_class and not isinstance(raises, BaseException):
        raise InngestTestError(f"mock_step: raises must be an exception: {raises!r}")
    if raises is not None and returns is not None:
        raise InngestTestError("mock_step: give returns or raises, not both")
    if times is not None:
        arguments.count("mock_step", "times", times)


def ops_of(reply: Reply) -> list[JsonObject]:
    """Read the opcodes of an answer; an empty list if it has none."""
    if reply.status != 206 or not reply.body:
        return []
    try:
        found = orjson.loads(reply.body)
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(op, dict) for op in found) else []


def named(steps: Sequence[str]) -> str:
    """Name steps in a message."""
    return ", ".join(repr(step) for step in steps)


def _named(function: str, seen: dict[str, str] | None) -> str:
    if not seen:
        return f"no run of {function} has met a step"
    return f"its runs met {named(list(dict.fromkeys(seen.values())))}"


def _op(mock: Mock, hashed: str) -> JsonObject:
    op: JsonObject = {"id": hashed, "name": mock.step, "displayName": mock.step}
    if mock.error is None:
        return {**op, "op": "StepRun", "data": mock.output}
    error = {"name": type(mock.error).__name__, "message": str(mock.error)}
    error["stack"] = "".join(traceback.format_exception(mock.error))
    return {**op, "op": "StepError", "error": error}


def _may_retry(error: BaseException) -> bool:
    return not isinstance(error, inngest.NonRetriableError)
