"""A Python app that counts its calls in flight by what limits them: `python -m … PORT`.

A call counts from the arrival of its request until its handler has ended, whoever reads the
answer: that of a worker which has been killed counts as any other. GET /counts tells.
"""

import asyncio
import json
import logging
import sys
import urllib.parse
from collections import Counter
from typing import Any

import fastapi
import inngest
import inngest.fast_api
import uvicorn

from tests.sdk.apps.slots_limits import MOST

APP = "slots"
LIMITS: dict[str, list[inngest.Concurrency]] = {
    "keyed": [
        inngest.Concurrency(limit=MOST["keyed"], key="event.data.k"),
        inngest.Concurrency(limit=MOST["keyed-all"]),
    ],
    "env-a": (of_env := [inngest.Concurrency(limit=MOST["env"], scope="env", key="event.data.k")]),
    "env-b": of_env,
    "account-a": (
        of_all := [inngest.Concurrency(limit=MOST["account"], scope="account", key='"all"')]
    ),
    "account-b": of_all,
}


def groups(function: str, key: str) -> list[str]:
    """Name the counter of a call: the limit's name in MOST, and its key after a colon."""
    if function == "keyed":
        return [f"keyed:{key}", "keyed-all:"]
    return [f"env:{key}"] if function.startswith("env") else ["account:"]


class Counting:
    """ASGI middleware that counts the calls in flight, and keeps the highest count."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, counted when it is a call."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        left = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return left.pop() if left else await receive()

        query = urllib.parse.parse_qs(scope["query_string"].decode())
        function = query["fnId"][0].removeprefix(f"{APP}-")
        found = groups(function, str(json.loads(body)["event"]["data"]["k"]))
        self.calls += 1
        self.now.update(found)
        for group in found:
            self.most[group] = max(self.most[group], self.now[group])
        try:
            await self.app(scope, again, send)
        finally:
            self.now.subtract(found)


def _function(client: inngest.Inngest, name: str) -> Any:
    @client.create_function(
        fn_id=name,
        trigger=inngest.TriggerEvent(event=f"{APP}/{name}"),
        concurrency=LIMITS[name],
        retries=3,
    )
    async def run(ctx: inngest.Context) -> str:
        async def work() -> None:
            await asyncio.sleep(float(ctx.event.data["takes"]))  # type: ignore[arg-type]

        await ctx.step.run("one", work)
        await ctx.step.run("two", work)
        return "done"

    return run


def main(port: int) -> None:
    """Serve until killed."""
    client = inngest.Inngest(app_id=APP, logger=logging.getLogger("sdk"))
    app = fastapi.FastAPI()
    inngest.fast_api.serve(app, client, [_function(client, name) for name in LIMITS])
    counting = Counting(app)

    @app.get("/counts")
    async def counts() -> dict[str, Any]:
        # copied in the loop that counts: another thread would mix two moments
        most = dict(counting.most)
        allowed = {group: MOST[group.partition(":")[0]] for group in most}
        seen = {"now": +counting.now, "most": most, "calls": counting.calls}
        return {**seen, "allowed": allowed}

    uvicorn.run(counting, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
