"""What a test asks of a server: send an event, read the runs that it started."""

from typing import Any

import requests

from tests.processes import wait_until

ENDED = {"Completed", "Failed", "Cancelled", "Skipped"}


class Api:
    """The public HTTP API of one server."""

    def __init__(self, url: str, event_key: str = "test", bearer: str | None = None) -> None:
        self.url = url
        self._event_key = event_key
        self._headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}

    def _get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=10, headers=self._headers)

    def send(self, name: str, data: dict[str, Any] | None = None) -> str:
        """Send one event and return its internal id."""
        reply = requests.post(
            f"{self.url}/e/{self._event_key}", json={"name": name, "data": data or {}}, timeout=10
        )
        assert reply.status_code == 200, reply.text
        event_id: str = reply.json()["ids"][0]
        return event_id

    def runs(self, event_id: str) -> list[dict[str, Any]]:
        """The runs that the event started."""
        reply = requests.get(
            f"{self.url}/v1/events/{event_id}/runs", timeout=10, headers=self._headers
        )
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()["data"]
        return found

    def apps(self) -> list[dict[str, Any]]:
        """The apps, with the error of their last sync."""
        reply = self._get("/api/v1/apps")
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()["data"]
        return found

    def functions(self, app: str) -> list[dict[str, Any]]:
        """The app's registered functions; none while the app is unknown."""
        reply = requests.get(
            f"{self.url}/v1/apps/{app}/functions", timeout=10, headers=self._headers
        )
        if reply.status_code == 404:
            return []
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()
        return found

    def run(self, event_id: str, timeout: float = 40.0) -> dict[str, Any]:
        """Wait until the event's only run has ended and return it."""

        def ended() -> list[dict[str, Any]]:
            runs = self.runs(event_id)
            return runs if all(run["status"] in ENDED for run in runs) else []

        runs = wait_until(ended, timeout, f"the run of event {event_id} ended")
        assert len(runs) == 1, runs
        return runs[0]

    def replay_check(self, run_id: str, app_url: str) -> Any:
        """The report of a replay check of a run against an app; its error if it is refused."""
        reply = requests.post(
            f"{self.url}/api/v1/replay-check",
            json={"app": app_url, "run": run_id},
            timeout=60,
            headers=self._headers,
        )
        answer = reply.json()
        return answer["error"] if reply.status_code != 200 else answer["data"]

    def gql(self, query: str, **variables: Any) -> Any:
        """Ask GraphQL for one field and return it."""
        body = {"query": query, "variables": variables}
        reply = requests.post(f"{self.url}/v0/gql", json=body, timeout=10, headers=self._headers)
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        return found
