"""Which worker made an attempt, as attempts have it: a process by its name, or a connected one."""

CONNECTED = "connect:"  # begins the name of a connected worker


def connected(instance: str) -> str:
    """Name a connected worker, by what it calls itself, apart from processes of ours."""
    return CONNECTED + instance


def shown(stored: str | None) -> str | None:
    """Return the name of the worker for people; None if it is not known."""
    return None if stored is None else stored.removeprefix(CONNECTED)
