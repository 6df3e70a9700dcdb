"""Wake-ups: the moments at which services of a process run together."""

from datetime import timedelta


def until_wakeup(now: timedelta, every: timedelta, phase: timedelta) -> timedelta:
    """Say how long it is until the next wake-up of an interval; skip one that is very near.

    The cost of an idle process is how often it wakes a core and fills its caches, not what it does
    then. So services that are due in the same second wake up together.
    """
    wait = every - (now - phase) % every
    return wait if wait > every / 10 else wait + every
