"""Functions of one app, registered by an SDK and by hand."""

from typing import Any

from inngest_py.domain.functions.registration import (
    Registration,
    parse_function,
    parse_registration,
)
from inngest_py.engine.apps.register import register, register_one
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import function_list
from tests.engine.harness import Engine, sequence

URL = "http://localhost:1/api/inngest"


def sync(name: str) -> Registration:
    step: dict[str, Any] = {"runtime": {"type": "http", "url": f"{URL}?fnId=shop-f&stepId=step"}}
    function = {"id": "shop-f", "name": name, "triggers": [{"event": "a/c"}]}
    function["steps"] = {"step": {"id": "step", "name": "step", **step}}
    return parse_registration({"appName": "shop", "url": URL, "functions": [function]})


def test_next_sync_replaces_a_function_registered_by_hand(db: Database) -> None:
    ctx = Engine(db, sequence()).ctx
    assert register(ctx, sync("first")).modified
    assert not register(ctx, sync("first")).modified
    body = {"app": "shop", "id": "shop-f", "name": "by hand", "url": URL}
    register_one(ctx, parse_function({**body, "triggers": [{"event": "a/c"}]}))
    assert register(ctx, sync("first")).modified
    with db.reading() as tx:
        shop = [row for row in function_list.every(tx) if row["app_name"] == "shop"]
    assert [(row["name"], row["version"]) for row in shop] == [("first", 3)]
