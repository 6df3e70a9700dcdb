"""Quantiles of what was measured."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

Measured = TypeVar("Measured", float, timedelta)


def quantile(values: Sequence[Measured], share: float) -> Measured:
    """Return the value that this share of the values does not exceed; there must be one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
