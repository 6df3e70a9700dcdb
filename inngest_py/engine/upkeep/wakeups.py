"""Beats: the moments at which services of a process wake together."""

from datetime import timedelta


def until_beat(now: timedelta, every: timedelta, phase: timedelta) -> timedelta:
    """Say how long it is to a process's next beat of an interval, or to the one after a near one.

    Services that are due in the same second wake together: what an idle process costs is the
    number of times that it wakes a core and fills its caches, not what it does then.
    """
    wait = every - (now - phase) % every
    return wait if wait > every / 10 else wait + every
