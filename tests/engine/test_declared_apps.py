"""Apps of the config file through the engine: what the file says leads, and is taken back."""

from dataclasses import replace

import pytest

from inngest_py.domain.errors import Conflict
from inngest_py.domain.functions import task_settings as rules
from inngest_py.domain.functions.celery_task import AppSettings
from inngest_py.domain.functions.declared_apps import DeclaredApp
from inngest_py.domain.functions.function_config import FunctionConfig, config_from_json
from inngest_py.domain.values import canonical, ids
from inngest_py.engine.apps import celery_apps, declared_apps, task_settings, workflows
from inngest_py.storage.catalog import functions
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import celery_app_list, function_list
from tests.engine.harness import Engine, sequence

APP = DeclaredApp(
    "shop",
    "/etc/inngest.yaml",
    "redis://host:1/0",
    "shop",
    tasks={"shop.add": {"retries": 3, "on": [{"cron": "* * * * *"}]}},
)


@pytest.fixture
def engine(db: Database) -> Engine:
    return Engine(db, sequence())


def configs(engine: Engine) -> dict[str, FunctionConfig]:
    with engine.ctx.db.reading() as tx:
        rows = function_list.every(tx, app_id=ids.app_id("shop"), archived=False)
    return {row["slug"]: config_from_json(row["config"]) for row in rows}


def version(engine: Engine) -> int:
    with engine.ctx.db.reading() as tx:
        return functions.catalog_version(tx)


def test_functions_exist_before_a_worker_is_seen(engine: Engine) -> None:
    declared_apps.connect(engine.ctx, [], [APP])
    assert set(configs(engine)) == {"shop-shop.add", "shop-celery.canvas"}
    assert configs(engine)["shop-shop.add"].retries == 3
    with engine.ctx.db.reading() as tx:
        row = celery_app_list.by_name(tx, "shop")
    assert row is not None
    assert (row["queue"], row["file"]) == ("shop", "/etc/inngest.yaml")


def test_server_that_starts_again_changes_nothing(engine: Engine) -> None:
    declared_apps.connect(engine.ctx, [], [APP])
    before = version(engine)
    declared_apps.connect(engine.ctx, [], [APP])
    assert version(engine) == before


def test_what_the_file_says_no_longer_is_as_it_was_set_by_hand(engine: Engine) -> None:
    celery_apps.add(engine.ctx, "shop", "redis://other:1/0")
    task_settings.configure(engine.ctx, "shop", "shop.add", {"retries": 1, "queue": "slow"})
    declared_apps.connect(engine.ctx, [], [APP])
    found = configs(engine)["shop-shop.add"]
    assert found.celery is not None
    assert (found.retries, found.celery.queue) == (3, "slow")
    assert rules.shown(found)["retries"] == {"value": 3, "from": "file"}
    declared_apps.connect(engine.ctx, [], [replace(APP, tasks={})])
    found = configs(engine)["shop-shop.add"]
    assert (found.retries, found.triggers) == (1, ())


def test_what_the_file_says_cannot_be_changed_by_hand(engine: Engine) -> None:
    declared_apps.connect(engine.ctx, [], [APP])
    with pytest.raises(Conflict, match=r"retries of shop\.add is set in the server's config file"):
        task_settings.configure(engine.ctx, "shop", "shop.add", {"retries": 1})
    with pytest.raises(Conflict, match="shop is declared in the server's config file"):
        celery_apps.add(engine.ctx, "shop", "redis://other:1/0")
    task_settings.configure(engine.ctx, "shop", "shop.add", {"queue": "slow"})
    celery_apps.remove(engine.ctx, "shop")
    celery_apps.add(engine.ctx, "shop", "redis://other:1/0")
    task_settings.configure(engine.ctx, "shop", "shop.add", {"retries": 1})
    assert configs(engine)["shop-shop.add"].retries == 1


def test_what_does_not_go_with_the_file_is_kept_without_effect(engine: Engine) -> None:
    celery_apps.add(engine.ctx, "shop", "redis://other:1/0")
    own = {"debounce": {"period": "5s"}}
    task_settings.configure(engine.ctx, "shop", "shop.add", own)
    batch = {"batchEvents": {"maxSize": 5, "timeout": "1s"}}
    declared_apps.connect(engine.ctx, [], [replace(APP, tasks={"shop.add": batch})])
    found = configs(engine)["shop-shop.add"]
    assert (found.batch is not None, found.debounce) == (True, None)
    declared_apps.connect(engine.ctx, [], [replace(APP, tasks={})])
    assert configs(engine)["shop-shop.add"].debounce is not None


def test_flag_or_variable_names_the_broker(engine: Engine) -> None:
    named = AppSettings("shop", "redis://flag:1/0")
    declared_apps.connect(engine.ctx, [named], [replace(APP, broker_url=None)])
    with engine.ctx.db.reading() as tx:
        row = celery_app_list.by_name(tx, "shop")
    assert row is not None
    assert (row["broker_url"], row["queue"]) == ("redis://flag:1/0", "shop")
    assert configs(engine)["shop-shop.add"].retries == 3
    declared_apps.connect(engine.ctx, [named])
    assert configs(engine)["shop-shop.add"].retries == 0


def flows(engine: Engine) -> dict[str, object]:
    return {str(row["name"]): row["settings"] for row in workflows.shown(engine.ctx, "shop")}


def test_workflows_of_the_file_are_functions_and_go_with_it(engine: Engine) -> None:
    settings: dict[str, object] = {"tasks": '["shop.add"]', "on": [{"event": "shop/flow"}]}
    file = replace(APP, workflows={"flow": settings})
    declared_apps.connect(engine.ctx, [], [file])
    assert flows(engine) == {
        "flow": {
            "on": {"value": [{"event": "shop/flow"}], "from": "file"},
            "tasks": {"value": ["shop.add"], "from": "file"},
        }
    }
    before = version(engine)
    declared_apps.connect(engine.ctx, [], [file])
    assert version(engine) == before
    with pytest.raises(Conflict, match="tasks of flow is set in the server's config file"):
        workflows.configure(engine.ctx, "shop", "flow", {"tasks": ["shop.other"]})
    workflows.configure(engine.ctx, "shop", "flow", {"retries": 2})
    workflows.configure(engine.ctx, "shop", "hand", {"tasks": ["shop.add"]})
    assert configs(engine)["shop-flow"].retries == 2
    declared_apps.connect(engine.ctx, [], [APP])
    assert set(flows(engine)) == {"hand"}
    declared_apps.connect(engine.ctx, [], [file])
    celery_apps.connect(engine.ctx, AppSettings("shop", "redis://host:2/0"))
    assert set(flows(engine)) == {"hand"}


def test_workflow_made_by_hand_takes_over_again(engine: Engine) -> None:
    celery_apps.add(engine.ctx, "shop", "redis://host:1/0", queue="shop")
    workflows.configure(engine.ctx, "shop", "flow", {"tasks": ["shop.one"]})
    declared_apps.connect(engine.ctx, [], [replace(APP, workflows={"flow": {"tasks": '["two"]'}})])
    assert '"two"' in canonical.dumps(flows(engine)["flow"]).decode()
    declared_apps.connect(engine.ctx, [], [APP])
    assert flows(engine) == {"flow": {"tasks": {"value": ["shop.one"], "from": "api"}}}
