"""Apply gevent's patch to modules that were imported before it.

`celery worker -P gevent` lets gevent patch the process first of all. But to find existing locks,
gevent looks at every object, Celery's lazy proxies among them. That imports half of Celery and
kombu while `time` and `queue` are not patched yet. A name that they import then, such as
`from time import sleep`, stays the native one. kombu waits for its broker with it, and all
greenlets of the process stop meanwhile.

Workers need this for their calls to go on while the broker is away, so no setting turns it off.

Written against Celery 5.7 and gevent 26.9: Celery calls gevent's patch before it imports the app,
and gevent keeps what it has replaced (`monkey.get_original`).
"""

import sys
from types import ModuleType

from gevent import monkey

# the packages that handle a message
_PACKAGES = ("amqp", "billiard", "celery", "kombu", "redis", "vine")
# modules whose functions and classes block
WAITING = ("queue", "select", "socket", "subprocess", "threading", "time")


def patch_early() -> None:
    """Replace the names that those packages imported from unpatched modules."""
    patched = {
        id(native): getattr(sys.modules[module], name)
        for module in WAITING
        for name, native in originals(module).items()
    }
    for module in loaded_modules():
        for name, value in list(vars(module).items()):
            if id(value) in patched:
                setattr(module, name, patched[id(value)])


def originals(module: str) -> dict[str, object]:
    """List the original callables of a module that gevent has replaced."""
    names = vars(sys.modules[module])
    return {
        name: native
        for name, now in names.items()
        if (native := monkey.get_original(module, name)) is not now and callable(native)
    }


def loaded_modules() -> list[ModuleType]:
    """List the imported modules of those packages."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in _PACKAGES and isinstance(module, ModuleType)
    ]
