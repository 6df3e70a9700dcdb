"""What must hold after everything that was done to a server."""

from collections import Counter

import requests

from tests.endpoint import STEPS, Endpoint
from tests.processes import wait_until


def live(server: str) -> list[str]:
    """List runs that have not ended."""
    query = {"status": ["queued", "running"], "limit": 100}
    reply = requests.get(f"{server}/api/v1/runs", params=query, timeout=30)
    return [run["id"] for run in reply.json()["data"]]


def all_complete(server: str, event_ids: list[str], timeout: float = 60) -> list[str]:
    """Wait until every event's one run has completed with each step stored once."""

    def none_live() -> bool:
        try:
            return not live(server)
        except requests.RequestException:
            return False

    wait_until(none_live, timeout, "every run to end")
    found = []
    for event_id in event_ids:
        reply = requests.get(f"{server}/v1/events/{event_id}/runs", timeout=30)
        (run,) = reply.json()["data"]
        assert run["status"] == "Completed", run
        shown = requests.get(f"{server}/api/v1/runs/{run['run_id']}", timeout=30).json()["data"]
        assert len(shown["steps"]) == STEPS
        assert not shown["queued"]
        found.append(run["run_id"])
    return found


def repeats(endpoint: Endpoint) -> int:
    """Count the step bodies that ran more than once."""
    return sum(count - 1 for count in Counter(endpoint.calls).values())
