"""A configuration of gunicorn for the API: `gunicorn -c python:inngest_py.gunicorn -w 4`.

Flags override it. The app begins before the first request, and a stop ends streams and WebSockets
at once, which gunicorn would wait for.
"""

import _thread
import signal
from types import FrameType
from typing import Protocol

from .serving.hosted import Hosted

wsgi_app = "inngest_py.wsgi:app"
worker_class = "gevent"


class _Worker(Protocol):
    wsgi: object


def post_worker_init(worker: _Worker) -> None:
    """Begin, in a process of gunicorn that has loaded the app."""
    app = worker.wsgi
    if isinstance(app, Hosted):
        app.start()
        _drain_at_sigterm(app)


def _drain_at_sigterm(app: Hosted) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        # a Thread would wait for its beginning, which gevent's event loop may not
        _thread.start_new_thread(app.drain, ())
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, stop)
    signal.siginterrupt(signal.SIGTERM, False)


def worker_exit(_server: object, worker: _Worker) -> None:
    """Close what the process has."""
    app = getattr(worker, "wsgi", None)
    if isinstance(app, Hosted):
        app.stop()
