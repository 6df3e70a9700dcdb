"""Writers of a group commit whose order, batches and faults a test decides."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, text

from inngest_py.engine.runtime.group_commit import Committer, _Entry
from inngest_py.storage.db import deadlines
from inngest_py.storage.db.session import Database
from tests.processes import wait_until

WAIT = 60.0
Act = Callable[[Connection], None]
Write = Callable[[Connection, Sequence[str]], Sequence[str]]


class Killed(BaseException):
    """What greenlets are killed with is no Exception either."""


class Gate:
    """A place in a transaction at which its leader waits for the test."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, _tx: Connection) -> None:
        self.reached.set()
        assert self.opened.wait(WAIT), "the gate stays shut"


class StopsWaiting(threading.Event):
    """The wait of a follower that ends at a moment of the test's: killed, or out of time."""

    def __init__(self, moment: threading.Event | None, *, killed: bool) -> None:
        super().__init__()
        self._moment, self._killed = moment, killed

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the moment; without one, until the lead comes."""
        reached = self._moment.wait(WAIT) if self._moment else super().wait(WAIT)
        assert reached, "the moment never came"
        if self._killed:
            raise Killed
        return False


class Commits:
    """Writers that a test starts one after another. Each inserts a row with its name."""

    def __init__(self, db: Database, *, again: bool = False) -> None:
        """Prepare it; with `again`, a row that is there already is not written, as by a fence."""
        self.db, self.committer = db, Committer(db)
        self.outcomes: dict[str, object] = {}
        self.batches: list[list[str]] = []  # the names that each call of a write got
        self.acts: dict[str, Act] = {}  # what happens in the transaction of a writer
        self._unless = " ON CONFLICT DO NOTHING" if again else ""
        self._threads: list[threading.Thread] = []
        self.kinds = {name: self._kind(name) for name in ("small", "big")}

    def _kind(self, name: str) -> Write:
        def write_all(tx: Connection, names: Sequence[str]) -> Sequence[str]:
            self.batches.append(list(names))
            insert = text(f"INSERT INTO meta VALUES (:name, 1){self._unless}")
            for each in names:
                self.acts.get(each, lambda _tx: None)(tx)
                tx.execute(insert, {"name": each})
            return [f"{each} is done" for each in names]

        write_all.__qualname__ = name
        return write_all

    def begin(
        self, *names: str, run: str = "run", kind: str = "small", within: float = WAIT
    ) -> None:
        """Start writers; each waits for the commit before the next one starts."""
        for name in names:
            write = self.kinds[kind]

            def work(name: str = name, write: Write = write) -> str:
                with deadlines.within(within):
                    return self.committer.run(run, write, name)

            self._start(name, work)

    def begin_stopping(
        self, name: str, moment: threading.Event | None = None, *, killed: bool
    ) -> None:
        """Start a writer that stops waiting at a moment, or as the lead comes to it."""
        entry = _Entry("run", self.kinds["small"], name)
        entry.called = StopsWaiting(moment, killed=killed)
        self._start(name, lambda: self.committer._join(entry))

    def _start(self, name: str, work: Callable[[], object]) -> None:
        def note() -> None:
            try:
                self.outcomes[name] = work()
            except (Exception, Killed) as error:
                self.outcomes[name] = error

        self._threads.append(threading.Thread(target=note, daemon=True))
        self._threads[-1].start()
        wait_until(lambda: self._arrived(name), WAIT, f"{name} waits")

    def _arrived(self, name: str) -> bool:
        began = name in self.outcomes or any(name in batch for batch in list(self.batches))
        return began or any(entry.value == name for entry in list(self.committer._waiting))

    @contextmanager
    def held(self, kind: str = "small") -> Iterator[None]:
        """Hold a commit of the writer "first": those that begin meanwhile wait behind it."""
        gate = self.acts["first"] = Gate()
        self.begin("first", kind=kind)
        assert gate.reached.wait(WAIT)
        yield
        gate.opened.set()

    def end(self) -> None:
        """Wait until no writer is left."""
        for thread in self._threads:  # which may start others
            thread.join(WAIT)
            assert not thread.is_alive(), "a writer never ends"

    def stored(self) -> set[str]:
        """Read the names whose rows are there."""
        with self.db.reading() as tx:
            found = {str(name) for name in tx.execute(text("SELECT key FROM meta")).scalars()}
        return found & set(self.outcomes)

    def done(self) -> set[str]:
        """Name the writers that were told that they are done."""
        return {name for name, got in self.outcomes.items() if got == f"{name} is done"}


def once(act: Act) -> Act:
    """Let something happen at the first try only."""
    left = [act]
    return lambda tx: left.pop()(tx) if left else None


def kill(_tx: Connection) -> None:
    """Kill the leader within its transaction."""
    raise Killed


def fail_as(error: Exception) -> Act:
    """Let a write fail, as one that has lost its lease does."""

    def fail(_tx: Connection) -> None:
        raise error

    return fail
