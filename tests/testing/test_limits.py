"""Flow control by the clock of a test: throttles, debounces, batches, limits and time-outs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import inngest as sdk
import pytest

from inngest_py.testing import Inngest, InngestTestError

MINUTE = timedelta(minutes=1)
Make = Callable[..., Inngest]


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Any:
    """Serve one function with the options of the test."""
    client = sdk.Inngest(app_id="limited", is_production=False)

    def work(ctx: sdk.ContextSync) -> Any:
        ctx.step.run("work", lambda: None)
        ctx.step.sleep("rest", timedelta(seconds=ctx.event.data.get("rest", 0)))
        return len(ctx.events)

    trigger = sdk.TriggerEvent(event="go")
    function = client.create_function(fn_id="work", trigger=trigger, **request.param)(work)
    with Inngest((client, [function])) as inngest:
        yield inngest


def _statuses(inngest: Inngest) -> list[str]:
    return [run.status for run in inngest.runs("work")]


@pytest.mark.parametrize(
    "made", [{"throttle": sdk.Throttle(limit=1, period=MINUTE)}], indirect=True
)
def test_a_throttle(made: Inngest) -> None:
    for _ in range(3):
        made.send("go")
    assert _statuses(made) == ["completed", "completed", "queued"]
    with pytest.raises(InngestTestError, match="Throttled: 1 start in 60s"):
        made.runs("work")[2].wait()
    made.clock.advance(minutes=1)
    assert _statuses(made) == ["completed"] * 3


@pytest.mark.parametrize("made", [{"concurrency": [sdk.Concurrency(limit=1)]}], indirect=True)
def test_concurrency(made: Inngest) -> None:
    made.crash_after_step("work", "work")
    sent = [made.send("go", data={"rest": 60}) for _ in range(2)]
    assert [run.status for one in sent for run in one.runs] == ["running", "running"]
    made.clock.advance(minutes=2)
    assert _statuses(made) == ["completed"] * 2


@pytest.mark.parametrize(
    "made", [{"rate_limit": sdk.RateLimit(limit=1, period=MINUTE)}], indirect=True
)
def test_a_rate_limit(made: Inngest) -> None:
    made.run("work")
    with pytest.raises(InngestTestError, match=r"has not started. .*rate limit"):
        made.run("work")
    made.clock.advance(minutes=1)
    assert made.run("work").status == "completed"


@pytest.mark.parametrize("made", [{"debounce": sdk.Debounce(period=MINUTE)}], indirect=True)
def test_a_debounce(made: Inngest) -> None:
    with pytest.raises(InngestTestError, match="Parked by the debounce of limited-work"):
        made.run("work")
    made.clock.advance(minutes=2)
    assert _statuses(made) == ["completed"]


@pytest.mark.parametrize(
    "made", [{"batch_events": sdk.Batch(max_size=2, timeout=MINUTE)}], indirect=True
)
def test_a_batch(made: Inngest) -> None:
    made.send(["go", {"name": "go"}, sdk.Event(name="go")])
    assert [run.result for run in made.runs("work")] == [2]
    made.clock.advance(minutes=1)
    assert [run.result for run in made.runs("work")] == [2, 1]


@pytest.mark.parametrize("made", [{"singleton": sdk.Singleton(mode="skip")}], indirect=True)
def test_a_singleton(made: Inngest) -> None:
    made.run("work", data={"rest": 60})
    skipped = made.run("work")
    assert skipped.status == "skipped"
    with pytest.raises(InngestTestError, match="it was skipped"):
        _ = skipped.result


@pytest.mark.parametrize("made", [{"timeouts": sdk.Timeouts(finish=MINUTE)}], indirect=True)
def test_a_time_out(made: Inngest) -> None:
    run = made.run("work", data={"rest": 600})
    made.clock.advance(minutes=1)
    assert run.status == "cancelled"


@pytest.mark.parametrize("made", [{}], indirect=True)
def test_events_sent_together_are_one_request(made: Inngest) -> None:
    sent = made.send(["go", "other", {"name": "go", "data": {"rest": 60}}])
    assert [[run.status for run in one.runs] for one in sent] == [["completed"], [], ["running"]]
    assert made.send([]) == []
