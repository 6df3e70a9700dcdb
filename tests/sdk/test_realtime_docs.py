"""The code in docs/realtime.md does what the page says: Python's, and TypeScript's in Node."""

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server

from tests.processes import LOOPBACK, ROOT, Process, Server, wait_until

from . import node_runtime


def _blocks(language: str) -> list[str]:
    page = (ROOT / "docs" / "realtime.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def page(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the page's Python code defines; its app is served, and registered."""
    monkeypatch.setenv("INNGEST_DEV", server.url)
    found: dict[str, Any] = {"__name__": "page"}
    for code in _blocks("python"):
        exec(compile(code, "realtime.md", "exec"), found)
    from inngest import flask

    flask.serve(found["app"], found["client"], [found["ship_order"]])
    served = make_server(LOOPBACK, 0, found["app"], threaded=True)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    found["url"] = f"http://{LOOPBACK}:{served.port}"
    assert requests.put(f"{found['url']}/api/inngest", timeout=20).ok
    yield found
    served.shutdown()
    served.server_close()
    found["client"]._http_client._http_client_sync.close()


def _node(folder: Path, code: str) -> Process:
    """A Node process that runs the code, beside the installed SDK."""
    (folder / "node_modules").symlink_to(node_runtime.installed("v4") / "node_modules")
    script = folder / "page.mjs"
    script.write_text(code)
    return Process([str(node_runtime.NODE), str(script)], log=folder / "node.log")


async def _followed(page: dict[str, Any]) -> Any:
    found = await page["follow_async"]("43")
    await page["client"]._http_client._http_client.aclose()  # the SDK leaves it open
    return found


# the SDK's own use of pydantic warns
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("server", ["embedded"], indirect=True)
def test_the_page(page: dict[str, Any], tmp_path: Path) -> None:
    publishes, subscribes = _blocks("js")
    subscribes = subscribes.replace("https://shop.example", page["url"])
    code = f"{publishes}\n{subscribes}\nconsole.log('subscribed');\n"
    with _node(tmp_path, code) as browser:
        browser.start()
        wait_until(lambda: "subscribed" in browser.log_tail(), 20, "the browser is subscribed")
        assert page["follow"]("42") == {"percent": 100}
        wait_until(lambda: "percent: 100" in browser.log_tail(), 10, "the last message")
        lines = browser.log_tail().splitlines()
    assert lines == [
        "subscribed",
        "progress { percent: 10 }",
        *(f"progress {{ box: {box} }}" for box in range(3)),
        "progress { percent: 100 }",
    ]
    assert asyncio.run(_followed(page)) == {"percent": 100}
