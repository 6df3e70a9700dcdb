"""The limits in force: the one place where rules that act on a rate or a number read theirs.

An override goes before the configuration until it ends. That is a question of the time at which
it is asked, so that nobody has to act for it to end.
"""

from datetime import datetime

from ...domain.functions.functions import Concurrency, FunctionConfig, RateLimit, Throttle
from ...domain.functions.retries import Backoff
from ..runtime.catalog import Function


def effective(function: Function, now: datetime) -> FunctionConfig:
    """Give the function's configuration with what overrides it now."""
    if function.overridden is None or (function.until is not None and function.until <= now):
        return function.config
    return function.overridden


def throttle(function: Function, now: datetime) -> Throttle | None:
    """Say how often the function's runs may start; None when they always may."""
    return effective(function, now).throttle


def rate_limit(function: Function, now: datetime) -> RateLimit | None:
    """Say how many of the function's events are run; None when all are."""
    return effective(function, now).rate_limit


def concurrency(function: Function, now: datetime) -> tuple[Concurrency, ...]:
    """Say how many of the function's requests may be in flight, in ascending order."""
    return effective(function, now).concurrency


def run_concurrency(function: Function, now: datetime) -> Concurrency | None:
    """Say how many of the function's runs may be between first request and end; None for all."""
    return effective(function, now).run_concurrency


def backoff(function: Function, now: datetime) -> Backoff | None:
    """Give the function's own rule for retries; None for the protocol's table."""
    return effective(function, now).backoff


def counts(function: Function, now: datetime) -> bool:
    """Say whether the function's runs count against a limit of concurrency."""
    return bool(concurrency(function, now)) or run_concurrency(function, now) is not None
