"""Options of the server of a test, and what it refuses."""

import subprocess
import sys
import unittest
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import fastapi
import inngest as sdk
import pytest
from inngest._internal import const

from inngest_py.sdk import steps
from inngest_py.testing import Inngest, InngestTestCase, InngestTestError

from .async_shop import AsyncShop, fast_api, fastapi_shop
from .shop import Shop, flask_shop


def test_crons_can_be_left_out() -> None:
    shop = Shop()
    with Inngest(flask_shop(shop), crons=False) as inngest:
        run = inngest.run(shop.remind)
        inngest.clock.advance("3d")
        assert shop.done == ["first", "second", "third"]
        assert run.wait(skip_time=True).result == "lost"
        assert inngest.run(shop.nightly).result == "nightly"


def _fetching() -> tuple[sdk.Inngest, Any]:
    client = sdk.Inngest(app_id="fetching", is_production=False)

    @client.create_function(fn_id="fetch", trigger=sdk.TriggerEvent(event="fetch"), retries=0)
    def fetch(ctx: sdk.ContextSync) -> Any:
        return steps.fetch(ctx, "rates", "http://127.0.0.1:9/rates").status

    return client, fetch


def test_steps_make_no_http_calls_unless_a_test_allows_it() -> None:
    client, fetch = _fetching()
    with Inngest((client, [fetch])) as inngest:
        told = str(inngest.run(fetch).error)
        assert "GET http://127.0.0.1:9/rates was not called: a test makes no HTTP calls" in told
        assert "mock the step with inngest.mock_step(), or allow it" in told
        inngest.mock_step(fetch, "rates", returns={"status_code": 200, "body": ""})
        assert inngest.run(fetch).result == 200
    with Inngest((client, [fetch]), allow_http=True) as inngest:
        assert "connection refused" in str(inngest.run(fetch).error)


def test_an_app_that_streams_its_answers() -> None:
    shop = AsyncShop()
    app = fastapi.FastAPI()
    fast_api.serve(app, shop.client, shop.functions, streaming=const.Streaming.FORCE)
    with Inngest(app) as inngest:
        inngest.mock_step(shop.order, "rest")
        inngest.crash_after_step(shop.order, "reserve")
        assert inngest.run(shop.order).result == ["reserve", "pack", "label"]
        assert shop.done.count("reserve") == 2


def test_requests_have_the_state_of_the_lifespan() -> None:
    app, seen = fastapi_shop(AsyncShop()), []

    @app.middleware("http")
    async def look(request: fastapi.Request, call: Any) -> Any:
        seen.append(request.state._state)
        return await call(request)

    with Inngest(app):
        assert seen and seen[0] == {"made by": "the lifespan"}


def test_a_stopped_server_is_told() -> None:
    shop = Shop()
    with Inngest(flask_shop(shop)) as inngest:
        run = inngest.run(shop.order)
        assert run in inngest.runs()
    with pytest.raises(InngestTestError, match="the test is over"):
        _ = run.status
    with pytest.raises(InngestTestError, match="the test is over"):
        inngest.clock.next()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"returns": 1, "raises": ValueError}, "give returns or raises, not both"),
        ({"raises": "no"}, "raises must be an exception: 'no'"),
        ({"step": 7}, "name the step by its id, not 7"),
    ],
)
def test_bad_mocks(inngest: Inngest, given: dict[str, Any], told: str) -> None:
    with pytest.raises(InngestTestError, match=told):
        inngest.mock_step("parts", **({"step": "nut"} | given))


@pytest.mark.parametrize("by", ["tomorrow", 3])
def test_bad_lengths(inngest: Inngest, by: Any) -> None:
    with pytest.raises(InngestTestError, match=r"clock.advance: .*(is not a duration|not 3)"):
        inngest.clock.advance(by)


@pytest.mark.parametrize("start", ["soon", 5])
def test_bad_starts(start: Any) -> None:
    with pytest.raises(InngestTestError, match="start: "):
        Inngest(start=start)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("inngest", "needs the Inngest SDK: pip install inngest"),
        ("inngest._internal.net", "does not know this version of the SDK .*: install inngest"),
    ],
)
def test_without_the_sdk_it_says_what_to_install(missing: str, told: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from inngest_py.testing import Inngest"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    with pytest.raises(ImportError, match=told):
        raise ImportError(last)


def test_a_function_that_starts_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    client = sdk.Inngest(app_id="loop", is_production=False)

    @client.create_function(fn_id="loop", trigger=sdk.TriggerEvent(event="loop"))
    def loop(ctx: sdk.ContextSync) -> None:
        ctx.step.send_event("again", sdk.Event(name="loop"))

    monkeypatch.setattr("inngest_py.testing.self_starts._UNSEEN", 2)
    monkeypatch.setattr("inngest_py.testing.self_starts.MOST_GENERATIONS", 10)
    told = "the function loop-loop seems to start itself without end.*by the event 'loop'"
    with Inngest((client, [loop])) as inngest, pytest.raises(InngestTestError, match=told):
        inngest.run(loop)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its loop's tasks
def test_an_async_step_that_leaves_ends_the_test() -> None:
    client = sdk.Inngest(app_id="leaving", is_production=False)

    @client.create_function(fn_id="leave", trigger=sdk.TriggerEvent(event="leave"))
    async def leave(ctx: sdk.Context) -> None:
        raise SystemExit(3)

    with Inngest((client, [leave])) as inngest, pytest.raises(SystemExit):
        inngest.run(leave)


def test_a_date_is_that_date_and_a_sleep_takes_its_time() -> None:
    client = sdk.Inngest(app_id="dated", is_production=False)
    then = datetime(2027, 6, 1, 9, 0, 15, tzinfo=UTC)

    @client.create_function(fn_id="dated", trigger=sdk.TriggerEvent(event="dated"))
    def dated(ctx: sdk.ContextSync) -> None:
        ctx.step.sleep_until("then", then)
        ctx.step.sleep("an hour more", timedelta(hours=1))

    with Inngest((client, [dated]), start="2027-01-01T00:00:00.400Z") as inngest:
        run = inngest.run(dated)
        inngest.clock.to(then - timedelta(milliseconds=1))
        assert not run.steps["then"].done
        inngest.clock.to(then)
        assert run.steps["then"].done
        inngest.clock.advance(minutes=61)
        assert run.status == "completed"


def test_bad_arguments_are_told() -> None:
    shop = Shop()
    with Inngest(flask_shop(shop)) as inngest:
        wrong: Any = [1]
        no: Any = "x"
        yes: Any = True
        seven: Any = 7
        three: Any = "3"
        code: Any = "500"
        awkward: Any = UnicodeDecodeError
        east = timezone(timedelta(hours=1))
        deep: list[Any] = []
        deep.append(deep)
        run = inngest.run(shop.nightly)
        bad: list[tuple[str, Callable[[], object]]] = [
            ("data must be a dict", lambda: inngest.send("x", data=wrong)),
            ("data must be a dict", lambda: inngest.run(shop.remind, data=wrong)),
            ("no length of time", lambda: inngest.clock.advance(days=10**9)),
            ("no length of time", lambda: inngest.clock.advance(days=float("nan"))),
            ("at most", lambda: inngest.clock.to("9999-12-31T00:00:00Z")),
            ("what inngest.run", lambda: inngest.check_replay(wrong)),
            (
                "times must be 1 or more: 'x'",
                lambda: inngest.mock_step("order", "s", times=no),
            ),
            ("times must be 1 or more", lambda: inngest.mock_step("order", "s", times=yes)),
            ("cannot be made without", lambda: inngest.mock_step("order", "s", raises=awkward)),
            ("returns must be JSON", lambda: inngest.mock_step("order", "s", returns=deep)),
            ("status must be 300 to 599: '500'", lambda: inngest.fail_next_call(status=code)),
            ("times must be 1 or more: 'x'", lambda: inngest.fail_next_call(times=no)),
            ("step must be text, not 7", lambda: inngest.crash_after_step("order", seven)),
            ("days must be a number, not '3'", lambda: inngest.clock.advance(days=three)),
            ("has no time in UTC", lambda: inngest.clock.to(datetime.min.replace(tzinfo=east))),
            ("name must be text, not 7", lambda: inngest.signal(seven)),
            ("data must be JSON", lambda: inngest.signal("x", {1, 2})),
            ("name must be text", lambda: inngest.events.named(seven)),
            ("skip_time must be True or False", lambda: run.wait(skip_time=no)),
            ("has not met a step", lambda: run.steps[wrong]),
            ("a port is a number", lambda: inngest.listen(no)),
            ("path must begin with '/'", lambda: inngest.serve(shop, path=seven)),
            ("crons must be True or False", lambda: Inngest(crons=no)),
            ("allow_http must be True", lambda: Inngest(allow_http=seven)),
            ("an event is a name", lambda: inngest.send(seven)),
            ("name a function by its id", lambda: inngest.runs(seven)),
        ]
        for told, act in bad:
            with pytest.raises(InngestTestError, match=told):
                act()
        assert run.status == "completed"


def test_the_mixin_comes_first() -> None:
    with pytest.raises(InngestTestError, match=r"before unittest\.TestCase"):
        type("Test", (unittest.TestCase, InngestTestCase), {})
