"""Answers of a Celery app's workers that wait to be applied: then a task may be in no worker."""

import time
from contextlib import closing
from typing import Any

from celery import Celery
from kombu.connection import Connection

from ... import observe
from ...engine.runtime.celery_apps import CeleryApp
from .brokers import answers_queue
from .redis_reader import kept_since

_KEPT_SECONDS = 5.0
_EMPTY_SECONDS = 1.0
_BEHIND_SECONDS = 60.0


class WaitingAnswers:
    """Says whether answers of an app wait, and logs when they have waited all the time.

    Meanwhile no task counts as lost: its answer may be among them, and it would run twice.
    """

    def __init__(self, app: CeleryApp, behind: float = _BEHIND_SECONDS) -> None:
        self._app, self._behind = app, behind
        self._since: float | None = None  # of when they are not told yet
        self._told = False

    def wait(self, client: Celery) -> bool:
        """Say whether there are answers that are not applied yet."""
        with client.connection_for_read() as connection:
            answers = answers_queue(self._app).name
            found = not gets_empty(connection, answers) or are_kept(connection, answers)
            if found:
                self._note(connection, answers)
            else:
                self._since, self._told = None, False
        return found

    def _note(self, connection: Any, answers: str) -> None:
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if not self._told and now - self._since >= self._behind:
            self._told = True
            waiting = size_of(connection, answers)
            observe.event("celery.answers_behind", level=30, app=self._app.name, answers=waiting)


def size_of(connection: Connection, queue: str) -> int:
    """Count the messages of a queue; none in a queue that is not there."""
    with closing(connection.channel()) as channel:
        return _size(connection, channel, queue)


def _size(connection: Connection, channel: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except connection.channel_errors:
        return 0


def gets_empty(connection: Connection, queue: str) -> bool:
    """Say whether a queue is empty at some moment of the next second.

    While many tasks end, answers are always on their way. If they are taken as fast as they come,
    those that had come when the queue was empty have been taken.
    """
    until = time.monotonic() + _EMPTY_SECONDS
    # one channel for all: kombu pings the broker and makes a pool of connections for each
    with closing(connection.channel()) as channel:
        while _size(connection, channel, queue):
            if time.monotonic() > until:
                return False
            time.sleep(_EMPTY_SECONDS / 50)
    return True


def are_kept(connection: Any, queue: str) -> bool:
    """Say whether a worker of ours took answers a while ago and has not acknowledged them.

    It may have been killed. Redis has them put back after a time; RabbitMQ gives them back at once.
    """
    channel = connection.default_channel
    if not hasattr(channel, "unacked_index_key"):
        return False
    return kept_since(channel, queue, time.time() - _KEPT_SECONDS)
