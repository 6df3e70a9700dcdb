"""The app under test by its name, as web servers take it: `module:attribute`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from .errors import AppError


def load(named: str) -> object:
    """Import an app; a name that ends in "()" is called. Raises AppError.

    The app's client is in dev mode where nothing else is said. See _in_dev_mode().
    """
    module, found, attribute = str(named).partition(":")
    if not found or not module or not attribute:
        raise AppError(f"inngest_app must be module:attribute, as in shop.web:app, not {named!r}")
    with _in_dev_mode():
        return _imported(named, module, attribute)


@contextmanager
def _in_dev_mode() -> Iterator[None]:
    """Set INNGEST_DEV meanwhile, unless the environment has it, or has a signing key.

    Without a key, a client that is not told otherwise cannot be served in production mode. A
    client reads this when it is made. Afterwards the environment is as before: what else runs in
    the process of the tests, such as a command that reads its settings, must not be in dev mode.
    """
    if os.environ.get("INNGEST_SIGNING_KEY") or "INNGEST_DEV" in os.environ:
        yield
        return
    os.environ["INNGEST_DEV"] = "1"
    try:
        yield
    finally:
        os.environ.pop("INNGEST_DEV", None)


def _imported(named: str, module: str, attribute: str) -> object:
    is_called = attribute.endswith("()")
    app: object
    try:
        app = import_module(module)
    except ModuleNotFoundError as error:
        fix = ""
        if error.name == module.partition(".")[0]:
            fix = "; add its folder to pytest's setting pythonpath, as in pythonpath = ."
        raise AppError(f"inngest_app: {named!r} cannot be imported: {error}{fix}") from error
    for part in attribute.removesuffix("()").split("."):
        if not hasattr(app, part):
            raise AppError(f"inngest_app: there is no {part!r} in {named!r}")
        app = getattr(app, part)
    if is_called:
        app = app()  # type: ignore[operator]
    return app
