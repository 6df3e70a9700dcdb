"""`/v1/celery`, and Celery apps in GraphQL: bad input is refused, no password is shown."""

from typing import Any

import pytest
from sqlalchemy import update

from inngest_py.domain.functions.declared_apps import DeclaredApp
from inngest_py.domain.reports.celery_seen import MOST_TASKS, Workers
from inngest_py.domain.values import ids
from inngest_py.engine.apps import declared_apps
from inngest_py.engine.upkeep import celery_watch
from inngest_py.storage.catalog.celery_apps import CeleryApp
from inngest_py.tasks.celery_apps.service import CeleryAppsService
from tests.api.conftest import Service
from tests.processes import wait_until

BROKER = "redis://someone:hidden-word@127.0.0.1:1/0"


def see(service: Service, app_id: str, tasks: list[str]) -> None:
    """Have the watcher find a worker with tasks."""
    workers = Workers()
    workers.told({"one@shop": tasks}, {}, {}, service.engine.ctx.now())
    celery_watch.note_seen(service.engine.ctx, app_id, workers)


def connect(service: Service, name: str = "shop", broker: str = BROKER) -> Any:
    return service.client.put(f"/v1/celery/{name}", json={"broker_url": broker})


def _apps(service: Service) -> dict[str, Any]:
    return {app["name"]: app for app in service.client.get("/v1/celery").json["data"]}


def test_no_answer_shows_the_password(service: Service) -> None:
    app_id = connect(service).json["data"]["id"]
    query = "{ apps { name url method error } }"
    answers = [
        service.client.get("/v1/celery"),
        service.client.get("/api/v1/apps"),
        service.client.get("/v1/apps/shop/functions"),
        service.client.post("/v0/gql", json={"query": query}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert "hidden-word" not in answer.text
    shown = {"name": "shop", "url": "celery://shop", "method": "CELERY", "error": None}
    assert shown in answers[-1].json["data"]["apps"]
    assert _apps(service)["shop"]["broker"] == "redis://127.0.0.1:1/0"
    assert app_id


@pytest.mark.parametrize(
    "broker",
    [
        "",
        "hidden-word",
        "http://:hidden-word@host",
        "redis://",
        "valkey://:hidden-word@host:6379/0",
        "redis://:hidden-word@host:port/0",
        "redis://:hidden-word@host:1/notadb",
        "rediss://host:1/0/1?password=hidden-word",
        "sentinel://:hidden-word@host:1/notadb;sentinel://host:2",
        "sentinel://:hidden-word@host:1;sentinel://:hidden-word@host:x",
        "amqp://user:12;hidden-word@host//",
    ],
)
def test_broker_that_nothing_can_reach_is_refused(service: Service, broker: str) -> None:
    answer = connect(service, broker=broker)
    assert answer.status_code in (400, 422)
    assert "broker_url" in answer.json["error"]
    assert "hidden-word" not in answer.text
    assert _apps(service) == {}


@pytest.mark.parametrize("task", ["shop.odd name", "shop/ü?#%", "shop.plain"])
def test_tasks_may_have_any_name(service: Service, task: str) -> None:
    app_id = connect(service).json["data"]["id"]
    listed = [f"{task} [rate_limit=10/m]", "shop.other"]
    see(service, app_id, listed)
    assert _apps(service)["shop"]["tasks"] == sorted([task, "shop.other"])
    answer = service.client.put(
        "/v1/celery/shop/tasks/" + task.replace("?", "%3F").replace("#", "%23"),
        json={"retries": 3},
    )
    assert answer.json["data"] == {"function": f"shop-{task}"}
    config = service.function_of("shop", f"shop-{task}")["config"]
    assert (config["celery"]["task"], config["retries"]) == (task, 3)


@pytest.mark.parametrize("url", ["nosuch://:hidden-word@host", "redis://:hidden-word@host/notadb"])
def test_settings_that_cannot_be_used_do_not_hold_up_other_apps(service: Service, url: str) -> None:
    """Kombu refuses the first app's URL at once or when it connects; an older server took it."""
    engine = service.engine
    bad = connect(service, "aaa").json["data"]["id"]
    connect(service, "zzz")
    change = update(CeleryApp).where(CeleryApp.app_id == bad)
    with engine.ctx.db.transaction() as tx:
        tx.execute(change.values(broker_url=url))
    apps = CeleryAppsService(lambda: engine.ctx)
    apps.start()
    try:
        wait_until(lambda: all(app["error"] for app in _apps(service).values()), 30, "both errors")
    finally:
        apps.stop()
    found = {name: app["error"] for name, app in _apps(service).items()}
    assert found == {"aaa": "broker_url", "zzz": "broker_away"}
    assert "hidden-word" not in str(_apps(service))


@pytest.mark.parametrize("signature", ["shop.add", 5, None, []])
def test_signature_that_is_no_object_is_refused(service: Service, signature: object) -> None:
    connect(service)
    answer = service.client.post("/v1/celery/shop/runs", json={"signature": signature})
    assert answer.status_code in (400, 422)
    assert "signature" in answer.json["error"]


def _run(service: Service, signature: object, **more: str) -> Any:
    body = {"signature": signature, **more}
    return service.client.post("/v1/celery/shop/runs", json=body)


def test_canvas_with_a_task_that_nobody_has_is_refused(service: Service) -> None:
    app_id = connect(service).json["data"]["id"]
    see(service, app_id, ["shop.add"])
    add, other = {"task": "shop.add", "args": [1]}, {"task": "shop.other"}
    chain = {"task": "celery.chain", "kwargs": {"tasks": [add, other]}}
    for signature in (other, chain):
        answer = _run(service, signature)
        assert answer.status_code == 404
        assert "no worker of shop has 'shop.other'" in answer.json["error"]
    for name in ("celery.nope", "celery.canvas", "celery.chord_unlock"):
        answer = _run(service, {"task": name})
        assert answer.status_code == 404
        assert f"no worker of shop has '{name}'" in answer.json["error"]
    chain["kwargs"] = {"tasks": [add, {"task": "celery.map", "kwargs": {"task": add, "it": [1]}}]}
    assert [_run(service, one).status_code for one in (add, chain)] == [201, 201]


def test_unknown_app_is_answered_with_the_connected_ones(service: Service) -> None:
    body = {"signature": {"task": "shop.add"}}
    none = service.client.post("/v1/celery/myshop/runs", json=body)
    assert none.json["error"] == "no Celery app is called 'myshop': add it first"
    connect(service)
    wanted = "no Celery app is called 'myshop': name one that is connected (shop), or add it first"
    for answer in (
        service.client.post("/v1/celery/myshop/runs", json=body),
        service.client.put("/v1/celery/myshop/tasks/shop.add", json={"retries": 1}),
        service.client.get("/v1/celery/myshop/tasks/shop.add"),
        service.client.get("/v1/celery/myshop/workflows"),
    ):
        assert (answer.status_code, answer.json["error"]) == (404, wanted)


def test_paused_function_says_why_nothing_runs(service: Service) -> None:
    app_id = connect(service).json["data"]["id"]
    see(service, app_id, ["shop.add"])
    pause = service.client.post("/v1/functions/shop-shop.add/pause", json={"events": "skip"})
    assert pause.status_code == 200
    answer = _run(service, {"task": "shop.add"})
    assert answer.status_code == 409
    assert "the function is paused and skips new events" in answer.json["error"]


def test_settings_are_shown_with_their_source_and_refused_with_the_field(service: Service) -> None:
    connect(service)
    task = "/v1/celery/shop/tasks/shop.add"
    assert service.client.get(task).status_code == 404
    bad = service.client.put(task, json={"throttle": {"limit": 5, "period": 60}})
    assert bad.status_code == 400
    assert bad.json["error"].startswith("throttle.period must be a text with a unit: write 30s")
    assert bad.json["data"] == {"field": "throttle.period"}
    throttle = {"limit": 5, "period": "1m"}
    service.client.put(task, json={"throttle": throttle, "retries": 3})
    service.client.put(task, json={"retries": None})
    assert service.client.get(task).json["data"] == {
        "function": "shop-shop.add",
        "settings": {"throttle": {"value": throttle, "from": "api"}},
    }


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30, 10**400])
def test_integer_that_would_be_rounded_is_refused(service: Service, number: int) -> None:
    connect(service)
    answer = _run(service, {"task": "shop.add", "args": [1, [number]]})
    assert answer.status_code == 400
    assert "send it as text" in answer.json["error"] or "infinity" in answer.json["error"]


def test_integers_that_are_exact_and_digits_in_texts_are_taken(service: Service) -> None:
    app_id = connect(service).json["data"]["id"]
    see(service, app_id, ["shop.add"])
    args = [2**64 - 1, -(2**63), "[12345678901234567890123]"]
    assert _run(service, {"task": "shop.add", "args": args}).status_code == 201


@pytest.mark.parametrize("name", ["id", "idempotency_key"])
def test_second_send_finds_the_run_of_the_first(service: Service, name: str) -> None:
    """The answer to the first may have been lost on its way."""
    see(service, connect(service).json["data"]["id"], ["shop.add"])
    deep: dict[str, Any] = {"task": "shop.add", "args": [1]}
    for _ in range(60):
        deep = {"task": "celery.chain", "kwargs": {"tasks": [deep]}}
    signatures: list[dict[str, Any]] = [{"task": "shop.add", "args": [2**53 + 1, 2.0]}, deep]
    for number, signature in enumerate(signatures):
        first, second = (_run(service, signature, **{name: f"k{number}"}) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 200)
        assert second.json == first.json
    changed = _run(service, {"task": "shop.add", "args": [2**53, 2.0]}, **{name: "k0"})
    assert changed.status_code == 409
    assert "with another signature" in changed.json["error"]
    assert _run(service, signatures[0], **{name: "other"}).status_code == 201
    assert len(service.client.get("/api/v1/runs").json["data"]) == 3


@pytest.mark.parametrize("path", ["tasks/shop.add", "workflows/nightly"])
@pytest.mark.parametrize("body", ["null", "[]", "1", '"x"'])
def test_settings_that_are_no_object_are_refused(service: Service, path: str, body: str) -> None:
    connect(service)
    url, json = f"/v1/celery/shop/{path}", "application/json"
    answer = service.client.put(url, data=body, content_type=json)
    assert answer.status_code == 400
    assert answer.json["error"] == "the body: must be a JSON object"


@pytest.mark.parametrize("task", ["x" * 256, "celery.ping", "%20"])
def test_name_that_no_task_can_have_is_refused(service: Service, task: str) -> None:
    connect(service)
    answer = service.client.put(f"/v1/celery/shop/tasks/{task}", json={"retries": 3})
    assert answer.status_code == 400
    assert answer.json["data"] == {"field": "task"}


def test_what_the_config_file_sets_is_refused(service: Service) -> None:
    shop = DeclaredApp("shop", "/etc/inngest.yaml", BROKER, tasks={"shop.add": {"retries": 3}})
    declared_apps.connect(service.engine.ctx, [], [shop])
    assert _apps(service)["shop"]["file"] == "/etc/inngest.yaml"
    assert connect(service).status_code == 409
    answer = service.client.put("/v1/celery/shop/tasks/shop.add", json={"retries": 1})
    assert answer.status_code == 409
    assert "retries of shop.add is set in the server's config file" in answer.json["error"]


def test_tasks_that_no_worker_has_are_told_apart(service: Service) -> None:
    app_id = connect(service).json["data"]["id"]
    before_workers_are_seen = service.client.put(
        "/v1/celery/shop/tasks/shop.typo", json={"retries": 1}
    )
    assert before_workers_are_seen.status_code == 200
    see(service, app_id, ["shop.add", "shop.old"])
    see(service, app_id, ["shop.add"])
    found = _apps(service)["shop"]
    assert found["tasks"] == ["shop.add"]
    assert list(found["gone_tasks"]) == ["shop.old"]
    assert found["unseen_tasks"] == ["shop.typo"]
    see(service, app_id, ["shop.typo"])
    assert _apps(service)["shop"]["unseen_tasks"] == []


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("visibility_timeout", "3600", "a number, such as 3600, not a string"),
        ("visibility_timeout", True, "a number, such as 3600, not a boolean"),
        ("socket_keepalive", 1, "true or false, not a number"),
        ("sep", 5, "a text, not a number"),
        ("priority_steps", {"a": 1}, "a list, not an object"),
    ],
)
def test_broker_option_of_a_wrong_type_is_refused(
    service: Service, name: str, value: object, wanted: str
) -> None:
    """kombu would raise an error only when it connects, or at the first task."""
    body = {"broker_url": BROKER, "options": {name: value}}
    answer = service.client.put("/v1/celery/shop", json=body)
    assert answer.status_code == 400
    assert answer.json["error"] == f"options.{name} must be {wanted}"
    assert answer.json["data"] == {"field": f"options.{name}"}
    good = {"visibility_timeout": 3600.5, "unknown": [1], "sep": None}
    body = {"broker_url": BROKER, "options": good}
    assert service.client.put("/v1/celery/shop", json=body).status_code == 200


def test_one_app_is_shown_as_in_the_list(service: Service) -> None:
    connect(service)
    assert service.client.get("/v1/celery/shop").json["data"] == _apps(service)["shop"]
    missing = service.client.get("/v1/celery/shopp")
    assert missing.status_code == 404
    assert "name one that is connected (shop)" in missing.json["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("tasks/shop.chrage", {"retries": 1}),
        ("workflows/nightly", {"tasks": ["shop.charge", {"group": ["shop.chrage"]}]}),
    ],
)
def test_name_that_no_worker_has_is_refused_with_the_nearest(
    service: Service, path: str, body: Any
) -> None:
    """It made a function, and its runs would have waited for a worker that never comes."""
    app_id = connect(service).json["data"]["id"]
    see(service, app_id, ["shop.charge", "shop.refund"])
    url = f"/v1/celery/shop/{path}"
    answer = service.client.put(url, json=body)
    assert answer.status_code == 404
    wanted = "no worker of shop has 'shop.chrage'; did you mean 'shop.charge'? A task whose workers"
    assert answer.json["error"].startswith(wanted)
    assert "?declare=true" in answer.json["error"]
    slugs = {row["id"] for row in service.client.get("/api/v1/functions").json["data"]}
    assert not slugs & {"shop-shop.chrage", "shop-nightly"}
    assert service.client.put(f"{url}?declare=true", json=body).status_code == 200
    assert service.client.put(f"{url}?declare=2", json=body).status_code == 400


def test_changes_of_a_declared_task_need_no_second_word(service: Service) -> None:
    app_id = connect(service).json["data"]["id"]
    see(service, app_id, ["shop.charge"])
    url = "/v1/celery/shop/tasks/shop.later"
    assert service.client.put(f"{url}?declare=true", json={"retries": 1}).status_code == 200
    assert service.client.put(url, json={"retries": 2}).status_code == 200


@pytest.mark.parametrize("seen_first", [False, True])
def test_log_names_declared_tasks_that_no_worker_has(
    service: Service, caplog: pytest.LogCaptureFixture, seen_first: bool
) -> None:
    """The config file may be read before or after the workers are seen."""
    tasks = {"shop.chrage": {"retries": 3}}
    shop = DeclaredApp("shop", "/etc/inngest.yaml", BROKER, tasks=tasks)

    def declare() -> None:
        declared_apps.connect(service.engine.ctx, [], [shop])

    def see_them() -> None:
        see(service, ids.app_id("shop"), ["shop.charge"])

    connect(service)
    for act in (see_them, declare) if seen_first else (declare, see_them):
        act()
    said = [one.__dict__["fields"] for one in caplog.records if one.msg == "celery.unseen_task"]
    problem = "no worker of shop has 'shop.chrage'; did you mean 'shop.charge'?"
    assert said == [{"app": "shop", "task": "shop.chrage", "problem": problem}]


def test_tasks_beyond_the_limit_are_said(service: Service) -> None:
    app_id = connect(service).json["data"]["id"]
    see(service, app_id, [f"shop.t{n}" for n in range(MOST_TASKS + 3)])
    found = _apps(service)["shop"]
    assert (len(found["tasks"]), found["tasks_left_out"]) == (MOST_TASKS, 3)
