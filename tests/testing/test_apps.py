"""Apps of all kinds, unmodified: ASGI, a pair, production mode, several; and what is no app."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import flask
import inngest as sdk
import pytest
from fastapi import FastAPI

from inngest_py.testing import Inngest
from inngest_py.testing.errors import AppError, NotServed

from .async_shop import AsyncShop, fastapi_shop
from .shop import Shop, flask_shop

KEY = "signkey-test-0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("pair", [False, True])
def test_asyncio_functions(pair: bool) -> None:
    shop = AsyncShop()
    app = (shop.client, shop.functions) if pair else fastapi_shop(shop)
    with Inngest(app) as inngest:
        run = inngest.run(shop.order)
        assert (run.status, shop.done) == ("running", ["reserve"])
        inngest.clock.advance(days=1)
        assert run.result == ["reserve", "pack", "label"]
        names = [event.name for event in inngest.events if not event.is_own]
        assert names == ["shop/order.placed", "shop/order.packed", "shop/order.sent"]
        inngest.mock_step(shop.order, "reserve", returns="mocked")
        inngest.crash_after_step(shop.order, "pack")
        assert inngest.run(shop.order).wait(skip_time=True).result == ["mocked", "pack", "label"]
        assert (shop.done.count("pack"), shop.done.count("label")) == (3, 2)
        assert inngest.run(shop.blocking).result == "worked"


def test_an_asgi_app_is_started_and_stopped() -> None:
    shop = AsyncShop()
    with Inngest(fastapi_shop(shop)):
        assert shop.open
    assert not shop.open


@pytest.mark.parametrize("serve", [flask_shop, lambda shop: (shop.client, shop.functions)])
def test_blocking_functions_run_in_the_thread_of_the_test(serve: Callable[[Shop], Any]) -> None:
    shop = Shop()
    with Inngest(serve(shop)) as inngest:
        assert inngest.run(shop.order).result == {"order": None, "charge": "charge"}
        assert shop.threads == {threading.get_ident()}


@pytest.mark.parametrize("serve", [flask_shop, lambda shop: (shop.client, shop.functions)])
def test_an_app_in_production_mode_gets_signed_requests(serve: Callable[[Shop], Any]) -> None:
    shop = Shop(is_production=True, signing_key=KEY, event_key="secret")
    with Inngest(serve(shop)) as inngest:
        inngest.clock.advance(days=30)  # signatures go by the real time
        assert inngest.run(shop.order).result == {"order": None, "charge": "charge"}
        shop.client.send_sync(sdk.Event(name="shop/parts"))
        assert [run.result for run in inngest.runs(shop.parts)] == [["bolt", "nut"]]


def test_an_app_that_registers_only_by_signed_requests() -> None:
    shop = Shop(is_production=True, signing_key=KEY, event_key="secret")
    app = flask.Flask("shop")
    from inngest import flask as inngest_flask

    inngest_flask.serve(app, shop.client, shop.functions, enable_unauthed_sync=False)
    with Inngest(app) as inngest:
        assert inngest.run(shop.order).status == "completed"


def test_several_apps_of_one_test() -> None:
    one, two = Shop("one"), AsyncShop(signing_key=KEY, is_production=True)
    with Inngest(flask_shop(one)) as inngest:
        inngest.serve(fastapi_shop(two))
        sent = inngest.send("shop/order.placed")
        assert {run.function for run in sent.runs} == {"one-order", "one-audit", "async-order"}
        assert inngest.run("one-order").status == "completed"
        with pytest.raises(NotServed, match=r"several apps .* name one of async-order, one-order"):
            inngest.run("order")


def test_an_app_behind_a_name_of_its_own() -> None:
    shop = Shop()
    app = flask.Flask("shop")
    from inngest import flask as inngest_flask

    origin = {"serve_origin": "https://shop.example", "public_path": "/public/inngest"}
    inngest_flask.serve(app, shop.client, shop.functions, serve_path="/jobs", **origin)
    with Inngest(app, path="/jobs") as inngest:
        assert inngest.run(shop.order).status == "completed"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_app_of_django(asynchronous: bool) -> None:
    from tests.sdk import serving

    shop = AsyncShop() if asynchronous else Shop()
    with Inngest(serving.django_app(shop.client, shop.functions)) as inngest:
        run = inngest.run(shop.order).wait(skip_time=True)
        assert run.status == "completed"


def test_a_cancelled_call_is_an_attempt() -> None:
    one, two = (sdk.Inngest(app_id=name, is_production=False) for name in ("one", "two"))

    def work() -> None:
        raise asyncio.CancelledError

    async def cancelled(ctx: sdk.Context) -> None:
        work()

    trigger = sdk.TriggerEvent(event="go")
    blocking = one.create_function(fn_id="go", trigger=trigger, retries=1)(
        lambda ctx: ctx.step.run("work", work)
    )
    waiting = two.create_function(fn_id="go", trigger=trigger, retries=1)(cancelled)
    for app in ((one, [blocking]), (two, [waiting])):
        with Inngest(app) as inngest:
            error = inngest.run("go").error
            assert error is not None and "CancelledError was raised in the app" in error.stack


def _failing_lifespan() -> FastAPI:
    async def lifespan(_: FastAPI) -> Any:
        raise RuntimeError("no database")
        yield

    return FastAPI(lifespan=lifespan)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("app", "path", "told"),
    [
        (7, "/x", "this is no app: 7; return a WSGI or ASGI app"),
        (flask.Flask("none"), "/api/inngest", "has nothing at /api/inngest: serve its functions"),
        (FastAPI(), "/api/inngest", "has nothing at /api/inngest"),
        (flask.Flask("none"), "jobs", "path must begin with '/'"),
        ((1, 2), "/", "a pair has to be"),
        ((sdk.Inngest(app_id="a"), [3]), "/", "this is no function of client.create_function"),
        (_failing_lifespan(), "/", "(?s)did not start: .*no database"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_no_app_is_refused(app: object, path: str, told: str) -> None:
    with pytest.raises(AppError, match=told), Inngest(app, path=path):
        pass


def test_an_app_whose_functions_are_refused() -> None:
    shop = Shop()
    bad = shop.client.create_function(
        fn_id="bad", trigger=sdk.TriggerCron(cron="every day"), retries=1
    )(lambda ctx: None)
    with (
        pytest.raises(AppError, match=r"could not register: .*cron"),
        Inngest((shop.client, [bad])),
    ):
        pass


def test_no_app_is_said_where_a_function_is_named() -> None:
    with Inngest() as inngest:
        with pytest.raises(NotServed, match="no function at all: override the fixture inngest_app"):
            inngest.run("order")
        with pytest.raises(AppError, match="there is no app to serve"):
            inngest.serve(None)


def test_requests_of_others_leave_the_test_alone(inngest: Inngest) -> None:
    import httpx

    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="mine"))
    with httpx.Client(transport=transport) as client:
        assert client.get("https://shop.example").text == "mine"
