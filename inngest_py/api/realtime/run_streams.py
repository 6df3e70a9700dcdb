"""The stream of a durable endpoint's run, which ends with the endpoint's answer (realtime.md §6).

SDKs pass the stream on by requests of their own, and write the answer as its last event. Clients
wait for it and do not close the connection.
"""

import threading
from collections.abc import Iterator
from datetime import timedelta

import orjson
from sqlalchemy import RowMapping

from ... import observe
from ...domain.realtime import event_frames
from ...domain.realtime.messages import Kind
from ...domain.realtime.topics import RUN, STREAM, Topic
from ...domain.runs.runs import ENDED, RunStatus
from ...domain.values import ids
from ...engine.intake.invoke import wait
from ...engine.runtime.context import Context
from ...storage.db.outages import logged
from .event_streams import EventStream

# how long the last bytes of an app may be on their way after its run has ended
_LAST_BYTES_SECONDS = 2.0


def run_of(topics: tuple[Topic, ...]) -> str | None:
    """Return the run whose stream these topics are; None for other topics."""
    if len(topics) == 1 and topics[0].name == STREAM and ids.is_ulid(topics[0].channel):
        return topics[0].channel
    return None


class RunStream(EventStream):
    """A subscriber of a run's stream. It gets the answer from us if the app wrote none.

    An app that was killed, or a run that was cancelled, would otherwise leave it waiting; and so
    would a run that had ended before it came.
    """

    def __init__(self, ctx: Context, run_id: str) -> None:
        super().__init__(ctx)
        self._run_id = run_id
        self._has_response = self._has_ended = False

    def stream(self, topics: tuple[Topic, ...]) -> Iterator[bytes]:
        """Write what is passed on, as it comes; end after the answer."""
        pieces = super().stream((*topics, Topic(self._run_id, RUN)))
        yield next(pieces)  # from here on nothing is missed
        row = self._row()
        if row is not None and RunStatus(row["status"]) in ENDED:
            self._end_soon()
        yield from pieces

    def deliver(self, payload: str | bytes) -> bool:
        """Pass bytes on; a message says that the run has begun or ended, and is not for clients."""
        if isinstance(payload, str):
            message = orjson.loads(payload)
            if message["kind"] == Kind.RUN and message["data"]["status"] in ENDED:
                self._end_soon()
            return True
        if self._has_response:
            return False
        taken = super().deliver(payload)
        if event_frames.has_response(payload):
            self._has_response = True
            self.finish()
        return taken

    def _end_soon(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        timer = threading.Timer(_LAST_BYTES_SECONDS, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        if self._has_response:
            return
        row = self._row()
        if row is None:
            self.finish()
        else:
            self.deliver(event_frames.response(RunStatus(row["status"]), row["output"]))

    def _row(self) -> RowMapping | None:
        """Read the run; None if it does not exist (any more), or cannot be read."""
        try:
            return wait(self._ctx, self._run_id, timedelta(0))
        except Exception as error:
            observe.event("realtime.failed", level=40, run_id=self._run_id, **logged(error))
            return None
