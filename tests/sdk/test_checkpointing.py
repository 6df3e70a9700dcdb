"""The TypeScript SDK's checkpoints: one call per run, and nothing is lost when a side is killed."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import Server, wait_until

from .app_process import SdkApp
from .client import Api

STEPS = 30
SUM = sum(range(STEPS))


@pytest.fixture
def app(server: Server, tmp_path: Any) -> Iterator[SdkApp]:
    """A registered app of one long function."""
    with SdkApp("ts-v4-steps", server.url, tmp_path).start() as app:
        assert app.register().status_code == 200
        yield app


def _started(app: SdkApp, api: Api, runs: int, pause_ms: int) -> list[str]:
    data = {"steps": STEPS, "pause_ms": pause_ms}
    return [api.send(f"{app.kind}/long", data) for _ in range(runs)]


def _at_step(app: SdkApp, step: str, runs: int) -> None:
    def reached() -> bool:
        return sum(line["step"] == step for line in app.effects()) >= runs

    wait_until(reached, 30, f"{runs} runs were at {step}")


def _check(app: SdkApp, api: Api, events: list[str], *, cuts: int, timeout: float = 90) -> None:
    """Every step ran, and only those under way at a cut ran again."""
    for event_id in events:
        run = api.run(event_id, timeout)
        assert (run["status"], run["output"]) == ("Completed", SUM), app.log_tail()
        count = Counter(line["step"] for line in app.effects(run["run_id"]))
        bodies = count.pop("body")
        assert set(count) == {f"s{number}" for number in range(STEPS)}
        assert sum(count.values()) - STEPS <= cuts, count
        # cut calls, and for each the retried step that is answered at once
        assert bodies <= 1 + 2 * cuts


def test_run_with_checkpoints_is_one_call(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    events = _started(app, api, runs=5, pause_ms=0)
    _check(app, api, events, cuts=0)


def test_killed_app_repeats_only_the_step_under_way(server: Server, app: SdkApp) -> None:
    api = Api(server.url)
    events = _started(app, api, runs=5, pause_ms=50)
    for step in ("s5", "s15"):
        _at_step(app, step, runs=5)
        app.kill9()
        app.start()
    _check(app, api, events, cuts=2)


def test_killed_server_repeats_only_the_steps_under_way(server: Server, app: SdkApp) -> None:
    """Slow: cut calls are repeated only after their leases have lapsed."""
    api = Api(server.url)
    events = _started(app, api, runs=5, pause_ms=50)
    _at_step(app, "s5", runs=5)
    server.kill9()
    server.start()
    _check(app, api, events, cuts=1)
