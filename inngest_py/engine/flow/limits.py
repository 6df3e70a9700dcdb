"""The limits in force. Rules that act on a rate or a number read it only here.

An override replaces the configuration until it ends. Each read compares the time, so an override
ends without anybody acting.
"""

from datetime import datetime

from ...domain.functions.function_config import Concurrency, FunctionConfig, RateLimit, Throttle
from ...domain.functions.retries import Backoff
from ..runtime.catalog import Function


def effective(function: Function, now: datetime) -> FunctionConfig:
    """Give the function's configuration, with its override if one is in force."""
    if function.overridden is None or (function.until is not None and function.until <= now):
        return function.config
    return function.overridden


def throttle(function: Function, now: datetime) -> Throttle | None:
    """Give the rate at which the function's runs may start; None for no limit."""
    return effective(function, now).throttle


def rate_limit(function: Function, now: datetime) -> RateLimit | None:
    """Give the rate beyond which the function's events are dropped; None for no limit."""
    return effective(function, now).rate_limit


def concurrency(function: Function, now: datetime) -> tuple[Concurrency, ...]:
    """Give the limits of the function's requests in flight, in ascending order."""
    return effective(function, now).concurrency


def run_concurrency(function: Function, now: datetime) -> Concurrency | None:
    """Give the limit of the function's runs between first request and end; None for no limit."""
    return effective(function, now).run_concurrency


def backoff(function: Function, now: datetime) -> Backoff | None:
    """Give the function's own rule for retries; None for the protocol's table."""
    return effective(function, now).backoff


def counts(function: Function, now: datetime) -> bool:
    """Say whether the function's runs count against a limit of concurrency."""
    return bool(concurrency(function, now)) or run_concurrency(function, now) is not None
