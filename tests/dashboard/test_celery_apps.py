"""Pages of Celery apps: connecting one, what is seen of it, the settings of its tasks."""

from datetime import timedelta

import pytest

from inngest_py.domain.reports.celery_seen import Running, Workers
from inngest_py.domain.values import ids
from inngest_py.engine.apps import celery_apps, task_settings
from inngest_py.engine.upkeep import celery_watch
from inngest_py.storage.queries import function_list
from tests.dashboard.conftest import EVIL, Site

BROKER = "redis://someone:hidden-word@127.0.0.1:1/0"
_POOL = {"pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 2}}


def _connected(site: Site) -> str:
    return celery_apps.add(site.engine.ctx, "shop", BROKER, queue="shop")


def _see(site: Site, app_id: str, *tasks: str, queue: str = "shop") -> None:
    """Have the watcher find a worker that runs a task."""
    workers, now = Workers(), site.engine.now
    workers.told({"one@shop": tasks}, {"one@shop": _POOL}, {"one@shop": [{"name": queue}]}, now)
    workers.hold({"one@shop": [Running("t1", f"shop.nap{EVIL}", now)]}, {"one@shop": 3}, now)
    workers.queues = {"shop": 118}
    celery_watch.note_seen(site.engine.ctx, app_id, workers)


def _function(site: Site, task: str) -> str:
    return ids.function_id(f"shop-{task}", "celery://shop")


def test_an_app_is_connected_and_disconnected_without_showing_its_password(site: Site) -> None:
    form = {"name": "shop", "broker_url": BROKER, "queue": "shop", "options": '{"a": 1}'}
    page = site.get(site.post("/apps/celery", **form).location)
    assert "The Celery app is connected" in page
    assert "redis://127.0.0.1:1/0" in page
    assert "hidden-word" not in page
    assert "connecting" in page
    app_id = ids.app_id("shop")
    page = site.get(site.post(f"/apps/{app_id}/archive").location)
    assert "The Celery app is disconnected" in page
    assert "redis://127.0.0.1:1/0" not in page


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("name", "a b", "name must have 1 to 100"),
        ("name", "", "name must have 1 to 100"),
        ("broker_url", "http://:hidden-word@x", "broker_url must be the URL of Redis"),
        ("broker_url", "", "broker_url must be the URL of Redis"),
        ("queue", "x" * 300, "queue must be the name of a queue"),
        ("options", "{", "the options are not JSON"),
        ("options", "[]", "the options must be a JSON object"),
    ],
)
def test_a_bad_field_is_named_beside_it(site: Site, field: str, text: str, said: str) -> None:
    form = {"name": "shop", "broker_url": BROKER, "queue": "shop", "options": ""} | {field: text}
    page = site.post("/apps/celery", 400, **form).text
    hint = page.split(f'id="h-{field}">')[1].split("</p>")[0]
    assert said in hint
    assert page.count("aria-invalid=true") == 1
    assert "hidden-word" not in page


def test_name_of_an_sdks_app_is_refused(site: Site) -> None:
    form = {"name": "app", "broker_url": BROKER, "queue": "shop"}
    assert "an app of an SDK is called app" in site.post("/apps/celery", 409, **form).text


def test_workers_queues_and_tasks_are_shown(site: Site) -> None:
    app_id = _connected(site)
    _see(site, app_id, "shop.add", "shop.old")
    site.engine.now += timedelta(seconds=5)
    _see(site, app_id, "shop.add")
    page = site.get("/apps")
    for shown in ("connected", "one@shop", "prefork", "2 at a time", "118", "and holds 3 more"):
        assert shown in page
    assert "1 that no worker has" in page
    assert EVIL not in page
    assert "No worker of the app has this task since" in site.get(
        f"/functions/{_function(site, 'shop.old')}"
    )
    site.engine.now += timedelta(seconds=61)
    assert "No worker of this server looks at it" in site.get("/apps")


def test_states_say_what_to_do(site: Site) -> None:
    app_id = _connected(site)
    celery_watch.note_seen(site.engine.ctx, app_id, Workers())
    assert "start one of its workers" in site.get("/apps")
    mute = Workers()
    mute.heard("odd@shop", site.engine.now)
    celery_watch.note_seen(site.engine.ctx, app_id, mute)
    assert "its app has to write and accept JSON" in site.get("/apps")
    _see(site, app_id, "shop.add", queue="slow")
    assert "No worker reads the queue shop" in site.get("/apps")
    (shop,) = site.engine.ctx.celery_apps.all(site.engine.ctx.db)
    celery_apps.mark(site.engine.ctx, shop, "broker_away", "check its URL")
    page = site.get("/apps")
    assert "broker does not answer" in page
    assert "check its URL" in page


def test_settings_of_a_task_are_changed_and_undone(site: Site) -> None:
    app_id = _connected(site)
    _see(site, app_id, "shop.charge")
    path = f"/functions/{_function(site, 'shop.charge')}"
    assert "none since" not in site.get(path)
    form = {
        "on": "shop/order.placed if event.data.total > 0\ncron TZ=Europe/Paris 0 6 * * *",
        "args": "[event.data.order]",
        "kwargs": '{"amount": event.data.total}',
        "retries": "3",
        "timeout": "30m",
        "on_lost": "fail",
        "queue": "slow",
        "more": '{"concurrency": 5}',
    }
    page = site.get(site.post(f"{path}/task", **form).location)
    for shown in ("settings of the task are changed", "5 steps at a time", "3 times", "it fails"):
        assert shown in page
    with site.engine.ctx.db.reading() as tx:
        row = function_list.get(tx, _function(site, "shop.charge"))
    assert row is not None
    assert row["version"] == 2
    for text in ("shop/order.placed if event.data.total &gt; 0", "cron TZ=Europe/Paris 0 6"):
        assert text in page.split('id="f-on"')[1].split("</textarea>")[0]
    page = site.get(site.post(f"{path}/task", on="shop/order.placed").location)
    assert "5 steps at a time" not in page
    assert "it is sent again" in page


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("on", "cron tomorrow", "on[0].cron"),
        ("on", "a/b if event.data.(", "on[0].if"),
        ("on", "[{]", "is not JSON"),
        ("args", "[event.", "args"),
        ("kwargs", "nobody.x", "kwargs"),
        ("retries", "99", "retries must be a number from 0 to 20"),
        ("retries", "some", "retries"),
        ("timeout", "soon", "timeout"),
        ("on_lost", "never", "on_lost must be"),
        ("queue", "x" * 300, "queue"),
        ("more", '{"throttle": {"limit": 0}}', "throttle"),
        ("more", '{"retries": 1}', "retries has a field of its own"),
        ("more", "7", "must be a JSON object"),
        ("more", '{"concurency": 1}', "did you mean concurrency?"),
    ],
)
def test_a_bad_setting_is_named_beside_its_field(
    site: Site, field: str, text: str, said: str
) -> None:
    _see(site, _connected(site), "shop.charge")
    path = f"/functions/{_function(site, 'shop.charge')}"
    page = site.post(f"{path}/task", 400, **{field: text}).text
    assert said in page.split(f'id="h-{field}">')[1].split("</p>")[0]
    assert page.count("aria-invalid=true") == 1
    if field != "on_lost":
        typed = page.split(f'id="f-{field}"')[1][: 600 + len(text)]
        assert text.replace('"', "&#34;") in typed or text in typed


def test_triggers_that_say_more_than_a_line_are_kept(site: Site) -> None:
    _see(site, _connected(site), "shop.charge")
    path = f"/functions/{_function(site, 'shop.charge')}"
    on = [{"event": "a/b", "args": "[1]"}, {"cron": "0 6 * * *", "jitter": "10s"}]
    task_settings.configure(site.engine.ctx, "shop", "shop.charge", {"on": on})
    shown = site.get(path).split('id="f-on"')[1].partition(">")[2].split("</textarea>")[0]
    text = shown.replace("&#34;", '"')
    page = site.get(site.post(f"{path}/task", on=text).location)
    assert shown in page


def test_other_functions_have_no_such_form(site: Site) -> None:
    function_id = site.engine.run(site.engine.start())["function_id"]
    assert "Settings of the task" not in site.get(f"/functions/{function_id}")
    assert "is no Celery task" in site.post(f"/functions/{function_id}/task", 404, on="").text
