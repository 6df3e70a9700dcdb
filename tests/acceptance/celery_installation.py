"""An installation with a Celery app, for tests that kill its parts: what it was sent, what ran."""

import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import requests
from celery import chain, chord, group

from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import ENDED, Client, Shop
from tests.processes import Process, Server, wait_until

CHAIN, HEADER = 5, 20
# for the last run to end: a task may be lost three times, and each time is noticed after half a
# minute in which nothing was hit
_SECONDS = 300.0
# how long before a hit a task may have begun whose answer it cut off, and how long after a hit one
# may begin that was sent twice: it may wait in the app's queue meanwhile
_BEFORE, _AFTER = 20.0, 60.0


@dataclass
class Sent:
    """A run that was started: its id, the output that it must have, the keys of its tasks."""

    run_id: str
    output: object
    keys: list[str]


class Effect(NamedTuple):
    """That a task ran: when, and under which id; the part before the dash is its queue item's."""

    at: float
    task_id: str

    @property
    def item(self) -> str:
        return self.task_id.rpartition("-")[0]


@dataclass
class Installation:
    """Servers and workers of ours, workers of the app, and the app's broker."""

    shop: Shop
    servers: list[Server]
    ours: list[Process]
    theirs: list[Process]
    restart_database: Callable[[], object] | None
    sent: list[Sent] = field(default_factory=list)
    hits: list[tuple[float, float]] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return Client(random.choice(self.servers).url)

    def send(self, key: str, canvas: Any, output: object, keys: list[str]) -> None:
        """Start a run; ask again while the servers are away."""
        again = str(uuid.uuid4())

        def taken() -> str | None:
            try:
                return self.client.start(canvas, idempotency_key=f"{key}-{again}")
            except (requests.RequestException, AssertionError):
                return None

        run_id = wait_until(taken, 90, "the run to be taken")
        assert run_id is not None
        self.sent.append(Sent(run_id, output, keys))

    def send_chain(self, name: str) -> None:
        """Start a chain of five tasks."""
        keys = [f"{name}.{n}" for n in range(CHAIN)]
        first, *others = keys
        canvas = chain(tasks.stamp.s(name, first), *(tasks.stamp.s(key) for key in others))
        self.send(name, canvas, name, keys)

    def send_chord(self, name: str, header: int = HEADER) -> None:
        """Start a chord with a header of so many tasks."""
        keys = [f"{name}.{n}" for n in range(header)]
        parts = group([tasks.stamp.s(n, key) for n, key in enumerate(keys)])
        body = f"{name}.body"
        self.send(name, chord(parts, tasks.stamp.s(body)), list(range(header)), [*keys, body])

    def send_all(self, chains: int, chords: int, then: Callable[[], object] = lambda: None) -> None:
        """Start chains, and chords between them; call `then` after each chain."""
        for number in range(chains):
            self.send_chain(f"chain{number}")
            if number * chords // chains != (number + 1) * chords // chains:
                self.send_chord(f"chord{number}")
            then()

    def hit(self, action: Callable[[], object]) -> None:
        """Do something that may make tasks run again, and note when."""
        began = time.time()
        action()
        self.hits.append((began, time.time()))

    def effects(self) -> dict[str, list[Effect]]:
        """List when each task ran."""
        found: dict[str, list[Effect]] = defaultdict(list)
        for line in self.shop.effects:
            key, at, task_id = line.split()
            found[key].append(Effect(float(at), task_id))
        return found

    def check(self) -> int:
        """Wait for the end of all runs, check them, and return how often tasks ran again."""
        deadline = time.monotonic() + _SECONDS
        for one in self.sent:
            run = self._ended(one.run_id, deadline)
            assert run["status"] == "completed", run
            assert run["output"] == one.output
        effects = self.effects()
        assert set(effects) == {key for one in self.sent for key in one.keys}
        for key, ran in effects.items():
            # a step is queued once: a chord's body begins once, whatever is lost later
            assert len({one.item for one in ran}) == 1, (key, ran)
            for first, second in pairwise(ran):
                assert self._explained(first.at, second.at), (key, ran, self.hits)
        return sum(len(ran) - 1 for ran in effects.values())

    def _ended(self, run_id: str, deadline: float) -> dict[str, Any]:
        """Wait for a run's end, also while a server that was killed starts again."""

        def look() -> dict[str, Any] | None:
            try:
                answer = requests.get(f"{self.client.url}/api/v1/runs/{run_id}", timeout=30)
            except requests.RequestException:
                return None
            run: dict[str, Any] = answer.json()["data"] if answer.status_code == 200 else {}
            return run if run.get("status") in ENDED else None

        found = wait_until(look, max(1.0, deadline - time.monotonic()), f"run {run_id} to end")
        assert found is not None
        return found

    def _explained(self, first: float, second: float) -> bool:
        """Say whether a hit lies between two runs of a task, or not long before the first."""
        return any(
            began < min(second, first + _BEFORE) and over > first - _AFTER
            for began, over in self.hits
        )


def killed(process: Process) -> Callable[[], None]:
    """Kill a process and start it again as a supervisor does, without waiting until it is ready."""

    def kill() -> None:
        process.kill9()
        Process.start(process)

    return kill


def stopped(process: Process) -> Callable[[], None]:
    """Stop a process as its supervisor does, and start it again."""

    def stop() -> None:
        process.terminate()
        Process.start(process)

    return stop


def shuffled(chance: random.Random, *hits: Sequence[Callable[[], object]]) -> list[Any]:
    """Put hits into a random order."""
    found = [hit for given in hits for hit in given]
    chance.shuffle(found)
    return found


def pause(chance: random.Random, longest: float) -> None:
    """Wait for a random time, so that the next failure may come at any moment."""
    threading.Event().wait(chance.uniform(0, longest))
