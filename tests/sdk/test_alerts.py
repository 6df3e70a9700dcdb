"""A real server sends an alert to real receivers, one of which is away at first."""

import json
from pathlib import Path
from typing import Any

from tests.processes import Server, wait_until
from tests.provider import Answer, Provider
from tests.sdk.app_process import SdkApp
from tests.sdk.client import Api

LEAST_RUNS = 3
# workers look every 15 seconds, and try a receiver again as late
DEADLINE = 90


def messages(provider: Provider) -> list[dict[str, Any]]:
    """Every message that a receiver was sent, whatever it answered."""
    return [json.loads(got.body) for got in provider.received]


def test_every_receiver_gets_the_alert_of_a_failing_function(tmp_path: Path) -> None:
    """Slow: the receiver that was away gets its message after the first back-off."""
    away = [Answer(status=503, body=b"away")]
    late = Provider(lambda _: away.pop() if away else Answer())
    chat = Provider()
    with late, chat:
        urls = f"{late.url}/hook?token=hidden,slack+{chat.url}/services/x"
        env = {
            "INNGEST_ALERT_URLS": urls,
            "INNGEST_ALERT_LEAST_RUNS": str(LEAST_RUNS),
            "INNGEST_ALERT_KINDS": "failures",  # the error is new, too
        }
        args = ("--db", str(tmp_path / "s.db"), "--no-discovery")
        with (
            Server("dev", *args, log=tmp_path / "server.log", env=env).start() as server,
            SdkApp("python-flask", server.url, tmp_path).start() as app,
        ):
            assert app.register().status_code == 200
            api = Api(server.url)
            for _ in range(LEAST_RUNS):
                api.send("python-flask/no_retry")
            wait_until(lambda: len(late.received) >= 2 and chat.received, DEADLINE, "the alert")
            assert "hidden" not in server.log.read_text()
    first, again = messages(late)[:2]
    assert first == again
    assert (again["alert"], again["state"]) == ("failures", "firing")
    assert (again["function"], again["failed"]) == ("python-flask-no_retry", LEAST_RUNS)
    [told] = messages(chat)
    assert told == {"text": f"{again['text']}\n{again['url']}"}
    assert "python-flask-no_retry" in told["text"]
