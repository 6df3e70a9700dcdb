"""How the engine of a test calls apps: in this process, with the faults and mocks of the test."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from ..domain.limits import REQUEST_TIMEOUT
from ..domain.reply.read import Reply
from ..domain.reply.request import REPLAY_CHECK
from ..engine.transport.http import Transport
from .apps.served import Served
from .faults import Faults
from .mocks import Mocks


class AppCalls(Transport):
    """Calls the apps that are served in this process."""

    def __init__(self, faults: Faults, mocks: Mocks) -> None:
        self.apps: list[Served] = []
        self._faults, self._mocks = faults, mocks
        self.crash_after_commit: Callable[[], None] = lambda: None

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: timedelta = REQUEST_TIMEOUT,
    ) -> Reply:
        """Call an app and read the whole answer. Raises ServerCrash if the test wants that here."""
        app = next((app for app in self.apps if app.serves(url)), None)
        if app is None:
            return Reply(unreachable="connection refused")
        query = urlsplit(url).query
        function = parse_qs(query).get("fnId", [""])[0]
        step = headers.get("X-Inngest-Step-ID", "")
        if headers.get("x-inngest-job-id") == REPLAY_CHECK:  # faults and mocks are for runs
            return self._mocks.as_steps(function, app.send(method, query, dict(headers), body))
        failed = self._faults.failure(function)
        if failed is not None:
            return failed
        reply = self._mocks.answer(function, step, body)
        if reply is None:
            body = self._mocks.planned(function, step, body)
            reply = self._mocks.replaced(function, app.send(method, query, dict(headers), body))
        return self._faults.after(function, reply, self.crash_after_commit)

    def close(self) -> None:
        """Stop the apps."""
        while self.apps:
            self.apps.pop().close()
