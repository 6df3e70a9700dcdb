"""The app under test by its name, as web servers take it: `module:attribute`."""

import os
from importlib import import_module

from .errors import AppError


def load(named: str) -> object:
    """Import an app; a name that ends in "()" is called. Raises AppError."""
    module, found, attribute = str(named).partition(":")
    if not found or not module or not attribute:
        raise AppError(f"inngest_app must be module:attribute, as in shop.web:app, not {named!r}")
    is_called = attribute.endswith("()")
    if not os.environ.get("INNGEST_SIGNING_KEY"):
        # without a key, a client that is not told otherwise cannot be served in production mode
        os.environ.setdefault("INNGEST_DEV", "1")
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
