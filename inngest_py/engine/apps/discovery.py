"""Discovery and polling of SDK apps (protocol: sync.md §3)."""

import os
import threading
from collections.abc import Callable, Iterator

from ... import observe
from ...domain.errors import Invalid
from ...domain.values import urls
from ...storage.db.outages import logged, outage
from ..runtime.context import Context
from . import register

_PORTS = (
    80,
    443,
    *range(3000, 3011),
    4321,
    5000,
    5173,
    8000,
    8080,
    8081,
    8787,
    8888,
    *range(8910, 8916),
)
_PATHS = (
    "/api/inngest",
    "/x/inngest",
    "/.netlify/functions/inngest",
    "/.redwood/functions/inngest",
)


class Discovery:
    """Looks for apps while none is known, and pings known apps.

    `is_to_look` is asked before each round: of several processes one is enough.
    """

    def __init__(
        self,
        ctx: Context,
        *,
        kind: str,
        in_band: bool,
        urls: tuple[str, ...],
        discover: bool,
        poll: bool,
        every_seconds: float,
        is_to_look: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ctx, self._kind, self._in_band = ctx, kind, in_band
        self._urls, self._discover, self._poll = urls, discover, poll
        self._every = max(every_seconds, 0.1)
        self._is_to_look = is_to_look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="discovery", daemon=True)

    def start(self) -> None:
        """Record the given URLs and start looking."""
        for url in self._urls:
            register.add_placeholder(self._ctx, urls.serve_endpoint(url))
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()

    def _loop(self) -> None:
        first = True
        while not self._stop.is_set():
            try:
                if self._is_to_look():
                    self.run_once(first=first)
            except Invalid as error:
                observe.event("discovery.failed", level=30, error=error.message)
            except Exception as error:  # if it is a bug of ours, continue all the same
                level = 30 if outage(error) else 40
                observe.event("discovery.failed", level=level, **logged(error))
            first = False
            self._stop.wait(self._every)

    def run_once(self, *, first: bool = False) -> None:
        """Ping the apps that are due for it; look for an app when none is known."""
        known = register.known_urls(self._ctx)
        for url, in_order in known:
            if self._poll or not in_order or first:
                self._ping(url)
        if self._discover and not known:
            for url in self._candidates():
                if register.probe(self._ctx, url):
                    register.add_placeholder(self._ctx, url)
                    self._ping(url)
                    return

    def _ping(self, url: str) -> None:
        pinged = register.ping(self._ctx, url, kind=self._kind, in_band=self._in_band)
        register.note_ping(self._ctx, url, pinged)

    def _candidates(self) -> Iterator[str]:
        ports = list(_PORTS)
        given = os.environ.get("PORT", "")
        if given.isdigit():
            ports.append(int(given))
        for port in ports:
            for path in _PATHS:
                if self._stop.is_set():
                    return
                yield urls.normalise(f"http://127.0.0.1:{port}{path}")
