"""How the engine of a test calls apps: in this process, with the faults and mocks of the test."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from ..domain.limits import REQUEST_TIMEOUT
from ..domain.reply.read import Reply, unwrap_stream
from ..domain.reply.request import REPLAY_CHECK
from ..engine.transport.http import Transport
from .apps.served import Served
from .faults import REFUSED, Faults
from .mocks import Mocks


class AppCalls(Transport):
    """Calls the apps that are served in this process."""

    def __init__(self, faults: Faults, mocks: Mocks) -> None:
        self.apps: list[Served] = []
        self._faults, self._mocks = faults, mocks
        self._outside: Transport | None = None
        self.crash_after_commit: Callable[[], None] = lambda: None
        self.calling: Callable[[], AbstractContextManager[None]] = nullcontext

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: timedelta = REQUEST_TIMEOUT,
    ) -> Reply:
        """Call an app and read the whole answer. Raises ServerCrash if the test wants that here."""
        function = parse_qs(urlsplit(url).query).get("fnId", [""])[0]
        step = headers.get("X-Inngest-Step-ID", "")
        if headers.get("x-inngest-job-id") == REPLAY_CHECK:  # faults and mocks are for runs
            return self._mocks.as_steps(function, self._call(method, url, headers, body))
        failed = self._faults.failure(function)
        if failed is not None:
            return failed
        reply = self._mocks.answer(function, step, body)
        if reply is None:
            body = self._mocks.planned(function, step, body)
            reply = self._mocks.replaced(function, self._call(method, url, headers, body))
        return self._faults.after(function, reply, self.crash_after_commit)

    def call_others(self) -> None:
        """Call apps that are not served here by HTTP."""
        self._outside = self._outside or Transport()

    def _call(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        for app in self.apps:
            if app.serves(url):
                with self.calling():
                    return _whole(app.send(method, urlsplit(url).query, dict(headers), body))
        if self._outside is None:
            return Reply(unreachable=REFUSED)
        return self._outside.send(method, url, headers, body)

    def close(self) -> None:
        """Close connections to other processes."""
        if self._outside is not None:
            self._outside.close()


def _whole(reply: Reply) -> Reply:
    """Take the answer out of a streamed one, for faults and mocks to see."""
    if reply.status == 201 and reply.header("x-inngest-sdk"):
        inner = unwrap_stream(reply)
        return inner if isinstance(inner, Reply) else reply
    return reply
