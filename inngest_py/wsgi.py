"""The API as a WSGI app, for gunicorn and uWSGI: `inngest_py.wsgi:app`.

It has the settings of `inngest-py api`, from the environment and the file in INNGEST_CONFIG. See
docs/serving.md for the classes of workers.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast

from . import logs, startup_messages
from .config import Settings
from .config_reading import read
from .serving.hosted import Hosted

# gunicorn ends at this code of a worker, and does not start it again and again
_NOT_LOADED = 4


class _Uwsgi(Protocol):
    """What uWSGI's module has for the app in its process."""

    opt: Mapping[bytes | str, object]
    atexit: Callable[[], None]
    post_fork_hook: Callable[[], None]

    def worker_id(self) -> int:
        """Return the number of this worker; 0 in the master, which forks them."""


def create_app(**given: object) -> Hosted:
    """Make the app; `given` are settings by name, such as `database_url`, before the environment's.

    Ends the process with a sentence per mistake in the settings.
    """
    settings, errors = read(given, os.environ, discovery=False)
    settings = replace(settings, workers=0, api_processes=1)
    errors += _errors(settings) + settings.errors() + settings.missing_keys()
    if errors:
        startup_messages.exit_with_errors(settings, errors, _NOT_LOADED)
    logs.set_up(settings.log_level, as_json=settings.json_logs)
    startup_messages.warn(settings, logged=True)
    # workers of apps connect at the one port that the other server has
    made = Hosted(replace(settings, connect_port=settings.port))
    _begin_in_uwsgi(made)
    return made


def _errors(settings: Settings) -> list[str]:
    """List what only our own server can do."""
    found = []
    if settings.embedded:
        found.append(
            "an API in another server needs a broker, by which it reaches the workers: set"
            " REDIS_URL or INNGEST_BROKER_URL"
        )
    if settings.clock != "real" or settings.test_api:
        found.append(
            "a virtual clock and the test API are for `inngest-py dev`: leave INNGEST_CLOCK and"
            " INNGEST_TEST_API out"
        )
    if settings.connect_port not in (None, settings.port):
        found.append(
            "another server has no port of its own for connected workers: leave"
            " INNGEST_CONNECT_PORT out"
        )
    return found


def _begin_in_uwsgi(made: Hosted) -> None:
    """Begin as soon as uWSGI has forked, which may be now; in other servers this does nothing."""
    try:
        uwsgi = cast(_Uwsgi, import_module("uwsgi"))
    except ImportError:
        return
    options = {_text(name) for name in uwsgi.opt}
    if not {"enable-threads", "threads"} & options or "gevent" in options:
        text = "the API runs in threads of uWSGI: start it with --threads N, and without --gevent"
        startup_messages.exit_with_errors(Settings(), [text], _NOT_LOADED)
    uwsgi.atexit = made.stop
    if uwsgi.worker_id():
        made.start()
    else:
        uwsgi.post_fork_hook = made.start


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


app = create_app()
