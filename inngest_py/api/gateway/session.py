"""A worker's connection: its socket, its state machine, and what the engine does for it."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import ParamSpec

from sqlalchemy.exc import SQLAlchemyError

from ... import observe
from ...domain.connect import calls
from ...domain.connect.actions import (
    Action,
    Answer,
    Close,
    Extend,
    GoesOn,
    Lapsed,
    Send,
    Status,
    StatusChanged,
    Sync,
)
from ...domain.connect.calls import Request
from ...domain.connect.codes import LOST, MESSAGE_TOO_LARGE, Ending
from ...domain.connect.gateway_connection import GatewayConnection
from ...domain.errors import Invalid
from ...domain.reply.read import Reply
from ...engine.connect import answers, apps
from ...engine.runtime.connections import GONE_AFTER, PATIENT, Connected
from ...engine.runtime.context import Context
from ...storage.db.outages import logged
from .load import Load, most_tasks
from .websocket import Arrived, Closed, TooLarge, WebSocket

P = ParamSpec("P")
# what a peer may take to answer a close frame
_CLOSE_SECONDS = 2.0
# for answers that arrived just before their worker closed
_READ_SECONDS = timedelta(seconds=2)
_MOST_REASON_CHARS = 123
# of a message under way when the connection is closed: nobody needs it, and nobody counts it
_MOST_LINGERING_BYTES = 16 * 1024
_LOOK_SECONDS = 0.5
_TURN = 256  # frames, or reads from the socket, after which others get their turn


class Session:
    """One connection, from its greeting to its end; `run()` is the greenlet that reads."""

    def __init__(
        self, ctx: Context, socket: WebSocket, secrets: tuple[bytes, ...], load: Load
    ) -> None:
        self._ctx, self._socket, self._load = ctx, socket, load
        self._tasks = self._unstored = self._greeting = 0
        self._room = threading.Event()
        self.machine = GatewayConnection(secrets, ctx.real_now())
        self.connected: Connected | None = None
        self._storing = threading.Lock()
        self._lock = threading.Lock()  # keeps frames in the order of the machine's decisions
        self._closed: Closed | None = None
        self._closing = False
        self._closed_because = ""
        self._chunks = 0

    def run(self) -> None:
        """Serve the connection until it is closed."""
        try:
            self._do(self.machine.open)
            while self._closed is None and not self._closing:
                self._read()
            self._linger()
        except OSError:
            pass
        except Exception as error:
            observe.event("connect.failed", level=40, **logged(error))
            self._try(self.machine.failed)
        finally:
            self._end()

    def _read(self) -> None:
        left = self.machine.due_at() - self._ctx.real_now()
        self._socket.is_idle = self.machine.is_idle
        for number, arrived in enumerate(self._socket.receive(left.total_seconds())):
            if number % _TURN == _TURN - 1:
                time.sleep(0)  # small frames without end must not keep others from their turn
            self._take(arrived)
            if self._tasks:
                self._wait_for_room()
            if self._closing:
                break
        self._bound_greeting()
        self._do(self.machine.tick, self._ctx.real_now())
        self._chunks += 1
        if self._chunks % _TURN == 0:
            time.sleep(0)

    def _take(self, arrived: Arrived) -> None:
        if isinstance(arrived, bytes):
            self._do(self.machine.receive, arrived, self._ctx.real_now())
        elif isinstance(arrived, Closed):
            self._closed = arrived
        elif isinstance(arrived, TooLarge):
            self._do(self.machine.too_large, arrived.head)
        elif isinstance(arrived, str):
            self._do(self.machine.receive_text)

    def _wait_for_room(self) -> None:
        """Read no more while too much of this worker is worked on; TCP makes it wait."""
        while self._is_busy() and not self._closing:
            self._room.wait(_LOOK_SECONDS)
            self._room.clear()
            self.machine.unread(self._ctx.real_now())

    def _is_busy(self) -> bool:
        worker = self.machine.worker
        most = most_tasks(0 if worker is None else worker.capacity)
        return self._tasks >= most or (self._unstored > 0 and self._load.is_full)

    def _count_greeting(self, size: int) -> None:
        """Count what is kept of a connection that has not introduced itself."""
        self._load.greeting += size - self._greeting
        self._greeting = size

    def _bound_greeting(self) -> None:
        """Close the connection if unknown senders together make us keep too much."""
        is_known = self.machine.worker is not None
        size = 0 if is_known else self._socket.unread + self.machine.early_bytes
        if size == self._greeting:
            return
        self._count_greeting(size)
        if size and self._load.is_crowded:
            self._do(self.machine.too_large)

    def _spawn(self, work: Callable[[], None], size: int = 0) -> None:
        """Do something in a greenlet of its own; `size` bytes are kept until it has ended."""
        self._tasks += 1
        self._unstored += size
        self._load.unstored += size

        def run() -> None:
            try:
                work()
            finally:
                self._tasks -= 1
                self._unstored -= size
                self._load.unstored -= size
                self._room.set()

        threading.Thread(target=run, daemon=True).start()

    def _do(self, decide: Callable[P, list[Action]], *given: P.args, **named: P.kwargs) -> None:
        """Let the machine decide, and do what it says; frames leave under the lock."""
        with self._lock:
            actions = decide(*given, **named)
            for action in actions:
                if isinstance(action, Send):
                    self._socket.send(action.data)
                elif isinstance(action, Close):
                    self._close(action.ending)
        for action in actions:
            if not isinstance(action, Send):
                self._act(action)

    def _try(self, decide: Callable[P, list[Action]], *given: P.args, **named: P.kwargs) -> None:
        with suppress(OSError):  # the reading greenlet sees it, too
            self._do(decide, *given, **named)

    def _close(self, ending: Ending) -> None:
        worker = self.machine.worker
        observe.event(
            "connect.closed",
            level=30 if ending.code not in (1000, 1001) else 20,
            code=ending.code,
            reason=ending.reason,
            worker="" if worker is None else worker.instance_id,
        )
        self._closing = True
        self._closed_because = ending.reason
        self._socket.close(ending.code, ending.short_reason())

    def _act(self, action: Action) -> None:
        if isinstance(action, Answer):
            self._answer(action)
        elif isinstance(action, Sync):
            self._spawn(lambda: self._sync(action))
        elif isinstance(action, StatusChanged):
            self._note(action.status)
        elif isinstance(action, Extend):
            self._spawn(lambda: self._extend(action))
        elif isinstance(action, GoesOn):
            self._spawn(lambda: self._go_on(action))
        elif isinstance(action, Lapsed):
            observe.event("connect.lapsed", level=30, acked=action.acked, request=action.request_id)
            self._ctx.connections.give_up(action.request_id, begun=action.acked)
            self._make_room(action.request_id)

    def _sync(self, action: Sync) -> None:
        worker = action.worker
        try:
            with self._load.turns:
                if self._closing or self._closed is not None:  # while it waited for its turn
                    return
                groups, newest = apps.sync(self._ctx, worker)
                before = apps.store(self._ctx, worker, groups)
            self.machine.is_held = before.is_drained
        except Invalid as error:
            self._try(self.machine.sync_failed, error.code or "config_invalid", error.message)
            return
        except Exception as error:
            observe.event("connect.failed", level=40, **logged(error))
            self._try(self.machine.failed)
            return
        self.connected = Connected(
            worker.connection_id,
            groups,
            worker.capacity,
            self.send,
            self._acknowledge,
            self._hold,
            self._heard,
            self.machine.is_held,
            instance=worker.instance_id,
        )
        self._ctx.connections.add(self.connected)
        self._ctx.connections.set_current(newest)
        if self._closing or self._closed is not None:  # while the apps were synced
            self._ctx.connections.remove(self.connected, timedelta(0))
            return
        self._try(self.machine.synced, self._ctx.real_now())
        observe.event(
            "connect.ready",
            worker=worker.instance_id,
            connection=worker.connection_id,
            again=before.is_known,
        )

    def _note(self, status: Status) -> None:
        if self.connected is None:
            return
        if status is Status.READY:
            self._ctx.connections.open(self.connected)
        else:
            self.connected.is_ready = False
        threading.Thread(target=self._store_status, args=(self.connected.id,), daemon=True).start()

    def _store_status(self, connection: str) -> None:
        """Write the status as it is now, one after another: an earlier one must not come last."""
        try:
            with self._storing, self._load.turns:
                now, reason = self.machine.status, self._closed_because
                apps.note_status(self._ctx, connection, now, reason)
        except SQLAlchemyError as error:  # only pages and inspection show it
            observe.event("connect.status_not_stored", level=30, **logged(error))

    def send(self, request: Request) -> None:
        """Send a request to the worker. Raises OSError if the connection is closed."""
        if self._socket.wake():
            time.sleep(0)  # what it has said while it was idle is read first: it may have paused
        if self._closing or self._closed is not None:
            raise ConnectionError("the connection is closed")
        self._do(self.machine.send, request, self._ctx.real_now())

    def _hold(self, held: bool) -> None:
        if self.connected is not None:
            self.connected.is_held = held
        self._try(self.machine.hold, held)

    def _heard(self) -> datetime:
        heard = self.machine.last_heartbeat or self.machine.opened_at
        return self._ctx.now() - (self._ctx.real_now() - heard)

    def _acknowledge(self, request_id: str) -> None:
        self._try(self.machine.acknowledge, request_id)

    def _answer(self, action: Answer) -> None:
        """Hand an answer to the call that waits for it; if none does here, look in the database.

        The first is done by the reading greenlet: were there a switch for each answer of those that
        have been read together, most would be committed one by one.
        """
        request_id = action.response.request_id
        reply = calls.reply_of(action.response, is_cut=action.is_cut)
        if not self._ctx.connections.answer(request_id, reply, self.connected):
            self._spawn(lambda: self._store_answer(request_id, reply), len(reply.body))

    def _store_answer(self, request_id: str, reply: Reply) -> None:
        try:
            stored = answers.take(self._ctx, request_id, reply, self.connected)
        except SQLAlchemyError as error:  # without an acknowledgement the worker sends it again
            observe.event("connect.not_stored", level=30, **logged(error))
            return
        if stored:
            self._make_room(request_id)
            self._acknowledge(request_id)

    def _make_room(self, request_id: str) -> None:
        """Stop counting a call of this worker, if it was sent over an earlier connection."""
        if self.connected is not None and request_id in self.connected.calls:
            self.connected.calls.discard(request_id)
            for app_id in self.connected.groups:
                self._ctx.connections.opened(app_id)

    def _extend(self, action: Extend) -> None:
        asked = action.asked
        if self.connected is None:
            return
        lease: str | None
        try:
            lease = answers.extend(self._ctx, asked.request_id, self.connected)
        except SQLAlchemyError as error:  # nobody knows: work that is done must not be thrown away
            observe.event("connect.not_extended", level=30, **logged(error))
            lease = self._ctx.new_id(self._ctx.now() + calls.LEASE)
        if lease is None:
            observe.event("connect.refused", request=asked.request_id[:_MOST_REASON_CHARS])
            self._make_room(asked.request_id)
        self._try(self.machine.extended, asked, lease, self._ctx.real_now())

    def _go_on(self, action: GoesOn) -> None:
        if self.connected is None:
            return
        try:
            lease = answers.extend(self._ctx, action.request_id, self.connected)
        except SQLAlchemyError as error:  # its next extension asks again
            observe.event("connect.not_extended", level=30, **logged(error))
            return
        if lease is not None:
            with self._lock:
                self.machine.adopt(action.request_id, self._ctx.real_now())

    def drain(self) -> None:
        """Send no more requests, and ask the worker to go to another gateway once it is idle."""
        self._try(self.machine.drain)

    def leave(self) -> None:
        """Ask a worker that is drained to go now."""
        self._try(self.machine.leave)

    def stop(self) -> None:
        """Close the connection: the gateway ends."""
        self._try(self.machine.stop)

    def _linger(self) -> None:
        """Read until the peer has closed, too: a reset could overtake our close frame."""
        self._count_greeting(0)
        self._socket.is_idle = False
        until = self._ctx.real_now() + timedelta(seconds=_CLOSE_SECONDS)
        while self._closed is None and (left := (until - self._ctx.real_now()).total_seconds()) > 0:
            if self._socket.unread > _MOST_LINGERING_BYTES:
                self._socket.drop()
            for arrived in self._socket.receive(left):
                if isinstance(arrived, Closed):
                    self._closed = arrived

    def _said(self) -> str:
        """Name why the worker has closed the connection."""
        if self._closed is None or self._closed.code is None:
            return LOST
        return self._closed.reason[:_MOST_REASON_CHARS] or str(self._closed.code)

    def _end(self) -> None:
        self._count_greeting(0)
        paused = self.machine.is_leaving
        self._closing = True
        self._closed_because = self._closed_because or self._said()
        ended = self.machine.ended()
        observe.event("connect.ended", level=10, reason=self._closed_because)
        if self.connected is None:
            return
        self._leave_calls(self.connected, paused=paused)
        for action in ended:
            self._act(action)

    def _leave_calls(self, connected: Connected, *, paused: bool) -> None:
        """Have its calls wait to be heard of over another connection, or lose them."""
        # a worker that closes properly, or sends too much, lives on, and reports over its next one
        closed = self._closed is not None and self._closed.code is not None
        lives = (closed or self._closed_because == MESSAGE_TOO_LARGE.reason) and not paused
        # one that has paused has ended its calls: only answers that are being read are missing
        gone_after = _READ_SECONDS if closed and paused else GONE_AFTER
        unacked = frozenset(name for name, one in self.machine.in_flight.items() if not one.acked)
        patience = PATIENT if lives else gone_after
        adopted = self._ctx.connections.remove(connected, patience, unacked)
        if adopted and not lives:
            wait = threading.Timer(
                gone_after.total_seconds(), self._free, (adopted, self._ctx.now())
            )
            wait.daemon = True
            wait.start()

    def _free(self, adopted: list[str], gone_at: datetime) -> None:
        if self._ctx.connections.is_draining:
            return
        try:
            answers.free_left(self._ctx, adopted, gone_at)
        except SQLAlchemyError as error:  # the leases lapse
            observe.event("connect.not_freed", level=30, **logged(error))
