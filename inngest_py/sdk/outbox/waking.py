"""Relays of this process are woken when a transaction has written events."""

import threading
import weakref

_waiting: "weakref.WeakSet[threading.Event]" = weakref.WeakSet()


def add(woken: threading.Event) -> None:
    """Let wake() set the event, as long as somebody holds it."""
    _waiting.add(woken)


def wake(*_arguments: object) -> None:
    """Wake all relays of this process. A listener of commits: it takes any arguments."""
    for woken in list(_waiting):
        woken.set()
