"""Workers and API on PostgreSQL are killed during cancellations and cron ticks."""

import random
import threading
from pathlib import Path

from tests.acceptance import test_cancel_kills as cancels
from tests.acceptance import test_cron_kills as crons
from tests.acceptance.full_size import WITH_KILLS
from tests.acceptance.raw_app import post, registered, seed
from tests.acceptance.test_distributed_kills import Installation
from tests.processes import Process, wait_until
from tests.servers import Postgres, Valkey


@WITH_KILLS
def test_cancellations_and_ticks_survive_kills(
    postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> None:
    """Slow: a tick is up to 68 s away, and killed processes start again each time."""
    url = postgres.create_database()
    made = Installation(tmp_path, url, valkey.url)
    one, two = made.workers
    chance = random.Random(20260112)

    def kill() -> None:
        threading.Event().wait(chance.uniform(0.0, 0.4))
        victim = chance.choice([made.api, one, two])
        victim.kill9()
        Process.start(victim)

    with made.app.up(), made.api.start(), one.start(), two.start():
        wait_until(lambda: registered(made.api.url), 20, "the app to be registered")
        tick = crons.next_tick(made.api, made.app)  # the cancellations are on the way to it
        cancels.send(made.api.url, chance)
        for key in range(cancels.KEYS):
            post(made.api.url, seed(chance), 3, "stop", key=key)
            if key in cancels.KILLED_AT:
                kill()
        crons.wait_for(tick)
        for _ in range(crons.KILLS):
            kill()
        wait_until(lambda: made.api.healthy, 60, "the API, should it have been killed last")
        cancels.ended(made.api.url, url)
        crons.all_ran_once(made.api, tick)
