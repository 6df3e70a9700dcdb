"""An unmodified Celery app: its tasks run as functions, on each broker, with a real worker."""

from collections.abc import Iterator
from typing import Any

import inngest
import pytest
import requests
from celery import chain, chord, group

from inngest_py import canvas
from tests.acceptance import shop as tasks
from tests.acceptance.celery_shop import BROKERS, Client, Shop, connected, shop_on
from tests.processes import wait_until
from tests.sdk import serving


@pytest.fixture(scope="module", params=BROKERS)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    with shop_on(request.param(), tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[Client]:
    """A server on SQLite that is connected to the app, with one worker."""
    with shop.worker(), connected(shop) as made:
        yield made


def test_tasks_become_functions(client: Client) -> None:
    [app] = client.apps()
    assert app["workers"] == ["one@shop"]
    assert {"shop.add", "shop.charge"} <= set(app["tasks"])
    assert not any(name.startswith("celery.") for name in app["tasks"])
    functions = {row["id"] for row in client.get("/api/v1/functions")}
    assert {"shop-shop.add", "shop-celery.canvas"} <= functions


@pytest.mark.parametrize(
    ("signature", "wanted"),
    [
        (tasks.add.s(1, 2), 3),
        (chain(tasks.add.s(1, 2), tasks.add.s(10)), 13),
        (chain(tasks.add.s(1, 2), tasks.add.si(5, 5)), 10),
        (group([tasks.add.s(n, 1) for n in range(5)]), [1, 2, 3, 4, 5]),
        (chord([tasks.add.s(n, n) for n in range(20)], tasks.total.s()), 380),
        (
            chain(tasks.add.s(1, 2), group(tasks.add.s(3), tasks.add.s(4)), tasks.total.s()),
            13,
        ),
        (tasks.add.starmap([[1, 2], [3, 4]]), [3, 7]),
        (chain(tasks.when.s(), tasks.year_of.s()), 2026),
        (chain(tasks.add.s(2**53, 1), tasks.add.s(2)), 2**53 + 3),
        (chain(tasks.note.s([2**64 - 1, 2.0], ""), tasks.note.s("")), [2**64 - 1, 2.0]),
    ],
    ids=lambda value: getattr(value, "task", None),
)
def test_canvas_has_the_result_that_celery_gives(
    client: Client, signature: Any, wanted: Any
) -> None:
    assert client.output(client.start(signature)) == wanted


def test_errback_is_called_once_with_the_id_of_the_failed_task(client: Client, shop: Shop) -> None:
    alarms = [tasks.note.s("errback"), tasks.refuse.s("errback that fails")]
    run_id = client.start(chain(tasks.refuse.s("no stock"), tasks.add.s(1)).on_error(group(alarms)))
    run = client.ended(run_id)
    assert (run["status"], run["output"]["error"]["message"]) == ("failed", "no stock")
    assert shop.effects.count("errback") == 1
    names = [attempt["name"] for attempt in run["attempts"]]
    assert "note after refuse failed" in names


def test_integers_of_events_are_exact_to_the_end(client: Client) -> None:
    """Doubles, which other programs read such numbers as, would round them."""
    number = 2**53 + 1
    body = {"on": [{"event": "shop/product.seen"}], "args": "[event.data.ids, '']"}
    client.put("/v1/celery/shop/tasks/shop.note", body)
    client.send("shop/product.seen", ids=[number, {"id": -(2**63)}])
    path = "/api/v1/runs?limit=1&function=shop-shop.note"
    found = wait_until(lambda: client.get(path), 60, "the event's run")
    assert client.output(found[0]["id"]) == [number, {"id": -(2**63)}]


def test_event_starts_a_task(client: Client) -> None:
    body = {
        "on": [{"event": "shop/order.placed"}],
        "args": "[event.data.order]",
        "kwargs": '{"amount": event.data.total}',
    }
    client.put("/v1/celery/shop/tasks/shop.charge", body)
    client.send("shop/order.placed", order="A1", total=5)
    path = "/api/v1/runs?limit=1&function=shop-shop.charge"
    [run] = wait_until(lambda: client.get(path), 30, "the run")
    assert client.output(run["id"]) == {"order": "A1", "paid": 5}


def test_failure_has_exception_message_and_the_workers_traceback(client: Client) -> None:
    run = client.ended(client.start(chain(tasks.add.s(1, 2), tasks.refuse.si("card refused"))))
    assert run["status"] == "failed"
    error = run["output"]["error"]
    assert (error["name"], error["message"]) == ("ValueError", "card refused")
    assert "Traceback" in error["stack"]
    assert "in refuse" in error["stack"]
    shown = [(one["name"], one["status"]) for one in run["attempts"]]
    assert shown[:2] == [("add", "completed"), ("refuse", "failed")]


def test_client_tells_the_step_that_failed_and_its_exception(client: Client) -> None:
    failing = chain(tasks.add.s(1, 2), tasks.refuse.si("card refused"))
    run = canvas.send(failing.on_error(tasks.note.s("client's errback")), url=client.url)
    words = f"run {run.run_id} is failed at step 'refuse': ValueError: card refused"
    with pytest.raises(canvas.RunFailed, match=words) as found:
        run.result(timeout=60)
    assert found.value.step == "refuse"
    assert (run.status(), found.value.status) == ("failed", "failed")
    held = canvas.send(tasks.add.s(1, 2).set(countdown=600), url=client.url)
    held.cancel()
    with pytest.raises(canvas.RunFailed, match=r"is cancelled$"):
        held.result(timeout=60)


def test_options_of_a_signature_reach_its_task(client: Client) -> None:
    options = {"priority": 5, "shadow": "mine", "headers": {"tenant": "t-1", "id": "forged"}}
    signature = tasks.context.s().set(**options)
    signature.stamp(order="A1")
    found = client.output(client.start(signature))
    assert found.pop("id") != "forged"
    assert found == {"tenant": "t-1", "shadow": "mine", "stamps": {"order": "A1"}, "priority": 5}


def test_message_of_a_failure_has_all_its_lines(client: Client) -> None:
    run = client.ended(client.start(tasks.refuse_at_length.s()))
    message = "two fields are wrong\n  order: is missing\nValueError: inside"
    assert run["output"]["error"]["message"] == message


def test_task_without_a_result_that_is_json_fails(client: Client) -> None:
    run = client.ended(client.start(tasks.unserializable.s()))
    assert run["status"] == "failed"
    assert "not JSON serializable" in run["output"]["error"]["message"]


@pytest.fixture(scope="module")
def caller(client: Client) -> Iterator[None]:
    """An app of the Python SDK, in this process, whose function invokes tasks as steps."""
    sdk = inngest.Inngest(app_id="caller", is_production=False, api_base_url=client.url)

    @sdk.create_function(
        fn_id="order", trigger=inngest.TriggerEvent(event="shop/order.placed"), retries=0
    )
    def order(ctx: inngest.ContextSync) -> object:
        def invoke(step: str, task: str, data: dict[str, Any]) -> object:
            return ctx.step.invoke_by_id(step, app_id="shop", function_id=task, data=data)

        paid = invoke("charge", "shop.charge", {"args": ["A1"], "kwargs": {"amount": 5}})
        try:
            invoke("refuse", "shop.refuse", {"args": ["card"]})
        except inngest.StepError as error:
            return {"paid": paid, "error": [error.name, error.message, error.stack]}
        return None

    with serving.registered(serving.flask, sdk, [order]):
        yield


def test_task_is_a_step_of_an_sdks_function(client: Client, caller: None) -> None:
    client.send("shop/order.placed")
    runs = wait_until(lambda: _runs_of(client, "caller-order"), 30, "the run to begin")
    assert runs is not None
    output = client.output(runs[0]["id"])
    assert output["paid"] == {"order": "A1", "paid": 5}
    name, message, stack = output["error"]
    assert (name, message) == ("ValueError", "card")
    assert "raise ValueError(text)" in stack


def _runs_of(client: Client, function: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = client.get("/api/v1/runs")
    return [run for run in runs if run["function"] == function]


def test_own_retries_of_a_task_are_celerys(client: Client, shop: Shop) -> None:
    assert client.output(client.start(tasks.retrying.s("r1"))) == 2
    assert shop.effects.count("retrying r1") == 3


def test_task_that_no_worker_knows_is_refused_and_named(client: Client) -> None:
    signature = {"task": "celery.chain", "kwargs": {"tasks": [{"task": "shop.missing"}]}}
    answer = requests.post(
        f"{client.url}/v1/celery/shop/runs", json={"signature": signature}, timeout=30
    )
    assert answer.status_code == 404
    assert "shop.missing" in answer.json()["error"]


def test_task_that_no_worker_knows_any_more_fails_and_is_named(client: Client) -> None:
    """Its settings made a function of it; only the worker's event says that it has no such task."""
    client.put("/v1/celery/shop/tasks/shop.gone?declare=true", {"on": [{"event": "shop/gone"}]})
    client.send("shop/gone")
    path = "/api/v1/runs?limit=1&function=shop-shop.gone"
    [run] = wait_until(lambda: client.get(path), 30, "the run")
    ended = client.ended(run["id"])
    assert ended["status"] == "failed"
    assert "shop.gone" in ended["output"]["error"]["message"]


def test_cancelled_run_drops_the_tasks_that_wait(client: Client, shop: Shop) -> None:
    """Three naps fill the worker, which has two processes; the third is dropped."""
    keys = [f"c{n}" for n in range(3)]
    run_id = client.start(group([tasks.nap.s(3, key) for key in keys]))
    wait_until(lambda: sum(one.startswith("begin c") for one in shop.effects) == 2, 30, "two naps")
    requests.delete(f"{client.url}/api/v1/runs/{run_id}", timeout=30).raise_for_status()
    after = client.start(chain(tasks.nap.s(0, "after")))
    client.ended(after)
    assert sum(one.startswith("begin c") for one in shop.effects) == 2


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"signature": {}}, 400, "signature.task"),
        ({"signature": {"task": "shop.add", "args": 1}}, 400, "signature.args"),
        ({"signature": {"task": "shop.nothing"}}, 404, "shop.nothing"),
        ({}, 400, "signature"),
    ],
)
def test_bad_signatures_are_refused_with_their_field(
    client: Client, body: dict[str, Any], status: int, words: str
) -> None:
    answer = requests.post(f"{client.url}/v1/celery/shop/runs", json=body, timeout=30)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_password_of_the_broker_is_nowhere_shown(client: Client, shop: Shop) -> None:
    secret = "s3cr3t-pass"
    client.put("/v1/celery/other", {"broker_url": f"redis://user:{secret}@127.0.0.1:1/0"})
    wait_until(lambda: _other(client)["error"], 60, "the broker to be found away")
    shown = requests.get(f"{client.url}/v1/celery", timeout=30).text
    requests.delete(f"{client.url}/v1/celery/other", timeout=30).raise_for_status()
    log = (shop.folder / "server.log").read_text()
    assert secret not in shown
    assert secret not in log
    assert "broker_away" in shown


def _other(client: Client) -> dict[str, Any]:
    return next(app for app in client.apps() if app["name"] == "other")


def test_killed_worker_loses_no_run(client: Client, shop: Shop) -> None:
    """Slow: a task counts as lost after half a minute."""
    with shop.worker("two") as worker:
        wait_until(lambda: "ready" in worker.log.read_text(), 60, "the second worker")
        ids = [client.start(tasks.hold.s(f"k{n}")) for n in range(4)]
        wait_until(
            lambda: sum(one.startswith("begin k") for one in shop.effects) == 4, 50, "four tasks"
        )
        # else the killed worker may not have been asked before, and nobody knows what it ran
        held = wait_until(lambda: _run_by(client, "two@shop"), 60, "what the worker runs")
        worker.kill9()
    for n in range(4):
        (shop.folder / f"release-k{n}").touch()
    outputs = [client.ended(run_id, 120)["status"] for run_id in ids]
    assert outputs == ["completed"] * 4
    errors = [one["error"] for run_id in ids for one in client.run(run_id)["attempts"]]
    lost = [error for error in errors if error]
    assert all(error["name"] == "TaskLost" for error in lost)
    # on a machine with too much to do, the other worker may not be heard of in time, either
    killed = [error for error in lost if "worker two@shop" in error["message"]]
    assert len(killed) == len(held), lost


def _run_by(client: Client, host: str) -> list[str]:
    """List what a worker of the shop runs, when all its processes have a task."""
    [shop] = [app for app in client.apps() if app["name"] == "shop"]
    [worker] = [one for one in shop["worker_details"] if one["name"] == host] or [{"running": []}]
    running = [task["id"] for task in worker["running"]]
    return running if len(running) == 2 else []
