"""Checks of what a test gives: a wrong type is told by its name, and not by a TypeError."""

from collections.abc import Callable

from .errors import InngestTestError


def number(what: str, name: str, given: object) -> None:
    """Refuse what is no number."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise InngestTestError(f"{what}: {name} must be a number, not {given!r}")


def count(what: str, name: str, given: object) -> None:
    """Refuse what is no whole number of 1 or more."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InngestTestError(f"{what}: {name} must be 1 or more: {given!r}")


def switch(what: str, name: str, given: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(given, bool):
        raise InngestTestError(f"{what}: {name} must be True or False, not {given!r}")


def text(what: str, name: str, given: object) -> None:
    """Refuse what is no text, and an empty one."""
    if not isinstance(given, str) or not given:
        raise InngestTestError(f"{what}: {name} must be text, not {given!r}")


def made_error(
    what: str, given: BaseException | type[BaseException] | None
) -> BaseException | None:
    """Make an exception of its class. Raises InngestTestError if the class takes arguments."""
    if not isinstance(given, type):
        return given
    make: Callable[[], BaseException] = given
    try:
        return make()
    except Exception as error:
        name = given.__name__
        raise InngestTestError(
            f"{what}: {name} cannot be made without arguments ({error}): give raises={name}(...)"
        ) from None
