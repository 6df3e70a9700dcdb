"""`inngest-py celery import-beat`: the entries of a beat schedule run without a beat process."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.celery_shop import Client, Shop
from tests.processes import ROOT, Server, wait_until
from tests.servers import Postgres, Valkey

_SECONDS = 60.0


@pytest.fixture
def shop(valkey: Valkey, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(valkey, tmp_path)
    with shop.worker():
        yield shop


def run_import(
    url: str, *args: str, given: str = "", app: str = "tests.acceptance.shop_beat:app"
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "inngest_py", "celery", "import-beat", app, "--url", url, *args]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        argv, input=given, capture_output=True, text=True, timeout=60, check=False, env=env
    )


def triggers(client: Client, task: str) -> list[dict[str, object]]:
    settings = client.get(f"/v1/celery/shop/tasks/{task}")["settings"]
    found: list[dict[str, object]] = settings.get("on", {}).get("value", [])
    return found


def test_entries_run_once_a_tick_with_two_servers(
    shop: Shop, postgres: Postgres, valkey: Valkey
) -> None:
    env = {
        "INNGEST_DEV": "1",
        "DATABASE_URL": postgres.create_database(),
        "REDIS_URL": valkey.url_of(1),
    }
    with (
        Server("dev", log=shop.folder / "one.log", env=env) as one,
        Server("dev", log=shop.folder / "two.log", env=env) as two,
    ):
        client = Client(one.start().url)
        two.start()
        client.connect(shop)
        client.put("/v1/celery/shop/tasks/shop.stamp", {"on": [{"event": "shop/other"}]})
        _import_three_times(client)
        assert set(_ticks_of(shop, client)) == {1}


def _import_three_times(client: Client) -> None:
    refused = run_import(client.url, given="n\n")
    assert refused.returncode == 1
    assert "nightly: shop.charge, TZ=Europe/Paris 30 4 * * *, next " in refused.stdout
    assert "cleanup: refused: its task celery.backend_cleanup is one" in refused.stdout
    assert "no worker of shop has registered shop.gone yet" in refused.stdout
    assert triggers(client, "shop.charge") == []
    done = run_import(client.url, "--yes")
    assert done.returncode == 0, done.stderr
    assert "delete these entries from beat_schedule" in done.stdout
    assert "fast a, fast b, missing, nightly" in done.stdout
    assert triggers(client, "shop.charge") == [
        {
            "cron": "TZ=Europe/Paris 30 4 * * * #nightly",
            "args": '["A1"]',
            "kwargs": "{}",
            "queue": "slow",
            "priority": 3,
            "expires": 60,
        }
    ]
    names = [one.get("event") or one["cron"] for one in triggers(client, "shop.stamp")]
    assert names == ["shop/other", "every 3s #fast a", "every 3s #fast b"]
    assert "nothing is changed" in run_import(client.url, "--yes").stdout


def _ticks_of(shop: Shop, client: Client) -> list[int]:
    """Wait for some ticks of both entries; count how often the runs of each tick ran."""

    def enough() -> bool:
        ran = Counter(line.split()[0] for line in shop.effects)
        return ran["beat-a"] >= 4 and ran["beat-b"] >= 4

    wait_until(enough, _SECONDS, "four ticks of both entries")
    path = "/api/v1/runs?limit=100&function=shop-shop.stamp"
    ticks: Counter[tuple[str, int]] = Counter()
    for run in client.get(path):
        event = client.run(run["id"])["event"]
        ticks[(event["data"]["cron"], event["ts"])] += 1
    assert {name for name, _ in ticks} == {"every 3s #fast a", "every 3s #fast b"}
    assert all(moment % 3000 == 0 for _, moment in ticks)
    return sorted(ticks.values())


def test_import_says_what_is_wrong() -> None:
    for app, words in (
        ("nowhere:app", "nowhere:app cannot be imported (ModuleNotFoundError"),
        ("tests.acceptance.shop:app", "there is nothing to import"),
        ("tests.acceptance.shop_beat:app", "nothing answers at http://127.0.0.1:1"),
    ):
        done = run_import("http://127.0.0.1:1", app=app)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
