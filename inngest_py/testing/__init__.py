"""Tests of apps, without waiting: the real engine in the test's process, on a clock that it moves.

With pytest there is the fixture `inngest` (plugin.py). `Inngest` is the same as a context manager,
and `InngestTestCase` as a mixin for unittest. Only their use loads the engine.

`harness` is what tests talk to; `engine` runs what is due, in the test's own thread; `apps` calls
the app under test by WSGI or ASGI; `apps.sdk_requests` brings what its SDK sends to the server.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cases import InngestTestCase
    from .errors import InngestTestError
    from .harness import Inngest

__all__ = ["Inngest", "InngestTestCase", "InngestTestError"]
_MODULES = {"Inngest": "harness", "InngestTestCase": "cases", "InngestTestError": "errors"}


def __getattr__(name: str) -> object:
    """Load what is named, and the engine with it."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ImportError as error:
        missing = error.name or ""
        if missing.split(".")[0] not in ("inngest", "httpx"):
            raise
        if missing in ("inngest", "httpx"):
            needs = "needs the Inngest SDK: pip install inngest"
        else:
            needs = f"does not know this version of the SDK ({error}): install inngest 0.5.19"
        raise ImportError(f"inngest_py.testing {needs}", name=missing) from error
