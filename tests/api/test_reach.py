"""Apps whose hosts the settings do not allow are refused, however an app is added."""

from dataclasses import replace
from typing import Any

import pytest

from inngest_py.domain.access import reach
from inngest_py.domain.reply.read import Reply
from inngest_py.storage.queries import app_list
from tests.api.conftest import Service
from tests.api.gql import change
from tests.api.test_register import function, register

METADATA = "http://169.254.169.254/api/inngest"
MAPPED = "http://[::ffff:169.254.169.254]/api/inngest"
TOLD = "INNGEST_CALL_HOSTS"


@pytest.fixture
def production(service: Service) -> Service:
    """A service that may call the same hosts as in production."""
    ctx = service.engine.ctx
    ctx.tuning = replace(ctx.tuning, reach=reach.parse([], dev=False))
    return service


def urls_of_apps(service: Service) -> list[str]:
    with service.engine.ctx.db.reading() as tx:
        return [app["url"] for app in app_list.every(tx)]


@pytest.mark.parametrize("url", [METADATA, MAPPED])
def test_an_app_out_of_reach_is_not_added(production: Service, url: str) -> None:
    before = urls_of_apps(production)
    told = change(production, f'createApp(input: {{url: "{url}"}}) {{ id }}')
    assert TOLD in told
    assert "169.254.169.254" in told
    synced = production.client.post("/v2/apps/app/syncs", json={"url": url})
    assert synced.status_code == 400
    assert TOLD in str(synced.json)
    assert production.engine.sdk.requests == []
    assert urls_of_apps(production) == before


def test_an_app_that_registers_out_of_reach_is_refused(production: Service) -> None:
    for more in ({"url": METADATA}, {}):
        step: dict[str, Any] = function("pay")
        if not more:
            step["steps"]["step"]["runtime"]["url"] = f"{METADATA}?fnId=shop-pay&stepId=step"
        answered = register(production, step, **more)
        assert (answered.status_code, answered.json["code"]) == (400, "host_not_allowed")
        assert "169.254.169.254" in answered.json["error"]
        assert TOLD in answered.json["error"]
    assert METADATA not in urls_of_apps(production)


def test_name_that_resolves_out_of_reach_is_the_apps_error(production: Service) -> None:
    made = reach.parse([], dev=False)
    reason = made.refusal("metadata.internal", "169.254.169.254")
    production.engine.sdk.pinged = Reply(unreachable=reason)
    url = "http://metadata.internal/api/inngest"
    fields = "{ error connected }"
    made_app = change(production, f'createApp(input: {{url: "{url}"}}) {fields}')
    assert made_app == {"error": "host_not_allowed", "connected": False}
    synced = production.client.post("/v2/apps/app/syncs", json={"url": url})
    assert TOLD in synced.json["data"]["error"]["message"]
    # and once the settings let it be called, the next good ping ends the error
    production.engine.sdk.pinged = Reply(status=200, headers={"x-inngest-sdk": "py"})
    production.client.post("/v2/apps/app/syncs", json={"url": url})
    listed = production.client.get("/api/v1/apps").json["data"]
    assert [app["error"] for app in listed if app["url"] == url] == [None]
