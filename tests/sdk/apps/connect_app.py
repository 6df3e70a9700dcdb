"""The Python SDK as a connected worker: `python -m tests.sdk.apps.connect_app KIND INSTANCE`.

EFFECTS names the effects log; CAPACITY is how many calls it takes at once, if that is limited.
"""

import asyncio
import logging
import os
import sys

import inngest
from inngest.connect import connect

from . import async_functions, async_waits, checkpoints, connect_functions, groups_async
from .effects import Effects


async def _main(kind: str, instance: str) -> None:
    client = inngest.Inngest(
        app_id=kind,
        logger=logging.getLogger("sdk"),
        app_version=os.environ.get("APP_VERSION"),
        middleware=checkpoints.chosen(),
    )
    effects = Effects(os.environ["EFFECTS"])
    functions = [
        *async_functions.define(client, effects),
        *async_waits.define(client),
        *groups_async.define(client, effects),
        *connect_functions.define(client, effects, instance),
    ]
    capacity = os.environ.get("CAPACITY")
    await connect(
        [(client, functions)],
        instance_id=instance,
        max_worker_concurrency=int(capacity) if capacity else None,
    ).start()


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG if os.environ.get("SDK_DEBUG") else logging.INFO)
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
