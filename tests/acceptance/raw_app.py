"""The raw SDK app as a process, events that are sent until accepted, and checks of their runs."""

import base64
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.processes import LOOPBACK, Process, answers, free_port, wait_until
from tests.raw_sdk import FUNCTIONS, STEPS

_PAGE = 100


@dataclass(frozen=True)
class Effect:
    """One run of a step's body."""

    run: str
    step: str
    at: float


class RawApp(Process):
    """`python -m tests.raw_sdk`, and its log of effects; it keeps its port over a restart."""

    def __init__(self, folder: Path, server: str) -> None:
        self.port = free_port()
        self.effects_file = folder / "effects.jsonl"
        argv = [sys.executable, "-m", "tests.raw_sdk", "--port", str(self.port)]
        argv += ["--effects", str(self.effects_file), "--server", server]
        super().__init__(argv, folder / "app.log")

    @property
    def url(self) -> str:
        """Its serve endpoint."""
        return f"http://{LOOPBACK}:{self.port}/api/inngest"

    def up(self) -> "RawApp":
        """Start it and wait until it answers."""
        self.start().wait_ready(lambda: answers(self.url))
        return self

    def effects(self) -> list[Effect]:
        """Read every run of a step's body so far, without a line that is being written."""
        if not self.effects_file.exists():
            return []
        lines = self.effects_file.read_text().rpartition("\n")[0].splitlines()
        return [Effect(**json.loads(line)) for line in lines]


def registered(server: str) -> bool:
    """Whether the server knows every function of the app."""
    try:
        reply = requests.get(f"{server}/api/v1/functions", timeout=10)
    except requests.RequestException:
        return False
    known = {row["name"] for row in reply.json()["data"]}
    return reply.ok and known.issuperset(FUNCTIONS)


def seed(chance: random.Random) -> str:
    """Make a seed for event ids, as SDKs send it with every try of one request."""
    entropy = base64.b64encode(chance.randbytes(10)).decode()
    return f"{int(time.time() * 1000)},{entropy}"


def post(server: str, seed: str, count: int, name: str = "seq5", **data: Any) -> list[str]:
    """Send events until the server says that it has them; return their ids."""
    return post_events(server, seed, [{"name": f"raw/{name}", "data": data}] * count)


def post_events(server: str, seed: str, events: list[dict[str, Any]]) -> list[str]:
    """Send these events until the server says that it has them; return their ids."""
    headers = {"x-inngest-event-id-seed": seed}

    def taken() -> list[str]:
        try:
            reply = requests.post(f"{server}/e/key", json=events, headers=headers, timeout=10)
        except requests.RequestException:
            return []
        found: list[str] = reply.json()["ids"] if reply.ok else []
        return found

    return wait_until(taken, 60, "the events to be taken")


def runs(server: str) -> list[dict[str, Any]]:
    """List every run."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": _PAGE}
    while True:
        page = requests.get(f"{server}/api/v1/runs", params=query, timeout=30).json()
        found += page["data"]
        if not page["has_more"]:
            return found
        query["cursor"] = page["cursor"]


def show(server: str, run_id: str) -> dict[str, Any]:
    """Show one run."""
    reply = requests.get(f"{server}/api/v1/runs/{run_id}", timeout=30)
    shown: dict[str, Any] = reply.json()["data"]
    return shown


def all_completed(
    server: str, event_ids: Iterable[str], steps: int = STEPS, timeout: float = 60
) -> None:
    """Wait until the runs have ended: one for each event, completed, each step stored once."""

    def ended() -> bool:
        query: dict[str, Any] = {"status": ["queued", "running"], "limit": 1}
        try:
            reply = requests.get(f"{server}/api/v1/runs", params=query, timeout=10)
        except requests.RequestException:
            return False
        return reply.ok and not reply.json()["data"]

    wait_until(ended, timeout, "every run to end")
    found = runs(server)
    assert sorted(run["event_id"] for run in found) == sorted(event_ids)
    for run in found:
        shown = show(server, run["id"])
        assert shown["status"] == "completed", shown
        assert len({stored["id"] for stored in shown["steps"]}) == steps, shown
        assert len(shown["steps"]) == steps, shown
        assert not shown["queued"], shown


Cut = tuple[float, float]


def repeated(effects: Sequence[Effect]) -> list[Cut]:
    """Pair the times of each run of a step's body with the next run of the same one."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for effect in effects:
        times[effect.run, effect.step].append(effect.at)
    return [
        pair
        for each in times.values()
        for pair in zip(sorted(each), sorted(each)[1:], strict=False)
    ]


def only_where_cut(effects: Sequence[Effect], cuts: Sequence[Cut], longest: float) -> int:
    """Check that each repetition follows a call that a cut fell into; count the repetitions.

    A cut is the time from before it was made until it had taken effect; `longest` bounds how
    long a call takes until its result is committed.
    """
    found = repeated(effects)
    for first, again in found:
        # a request that was sent before the kill may be read a moment after it
        assert any(
            began < again and first - 0.5 < over and began < first + longest for began, over in cuts
        ), f"ran at {first} and again at {again}; cuts: {cuts}"
    return len(found)
