"""What a worker of each pool shows on its metrics port, in real processes."""

import pytest
import requests

from tests.acceptance.test_workers import Installation, api, installation
from tests.endpoint import STEPS, send, statuses
from tests.metrics import total, value
from tests.processes import LOOPBACK, free_port, wait_until

__all__ = ["api", "installation"]
RUNS = 20


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_worker_of_every_pool_shows_its_metrics(installation: Installation, pool: str) -> None:
    url, port = installation.api.url, free_port()

    def page() -> str:
        return requests.get(f"http://{LOOPBACK}:{port}/metrics", timeout=10).text

    before = requests.get(f"{url}/metrics", timeout=10).text
    accepted = value(before, "inngest_events_accepted_total") or 0
    with installation.worker("one", pool, INNGEST_METRICS_PORT=str(port)) as worker:
        worker.start().wait_ready(lambda: installation.workers() == 1)
        send(url, RUNS)
        wait_until(lambda: statuses(url) == {"completed": RUNS}, 60, "all runs to complete")
        # a signal follows the commit that statuses() has seen
        wait_until(lambda: total(page(), "inngest_runs_finished_total") == RUNS, 10, page())
        assert total(page(), "inngest_calls_total") == RUNS * (STEPS + 1)
        assert total(page(), "inngest_call_seconds_count") == RUNS * (STEPS + 1)

        def of_api() -> str:
            return requests.get(f"{url}/metrics", timeout=10).text

        # gauges that read the database are kept for some seconds
        wait_until(lambda: value(of_api(), "inngest_workers") == 1, 30, of_api())
        assert value(of_api(), "inngest_events_accepted_total") == accepted + RUNS
        assert total(of_api(), "inngest_runs_finished_total") == 0
        for probe in ("live", "ready"):
            answer = requests.get(f"http://{LOOPBACK}:{port}/health/{probe}", timeout=10)
            assert (answer.status_code, answer.json()["message"]) == (200, "OK")
        assert worker.terminate() == 0
