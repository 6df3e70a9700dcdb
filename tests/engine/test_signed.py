"""Signed requests and signed answers, with two keys in rotation (auth.md §2, §3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.access import signatures
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.apps import register
from inngest_py.engine.runtime import signed_requests
from inngest_py.storage.db.session import Database
from inngest_py.storage.queries import app_list
from tests.engine.harness import Engine, sequence

NEW, OLD = "signkey-prod-00ff", "signkey-prod-ff00"
URL = "http://localhost:1/api/inngest"
SYNC = orjson.dumps({"app_id": "shop", "sdk_language": "py", "sdk_version": "1", "url": URL})


@dataclass
class App:
    """An app that knows one key, and answers 401 to what is not signed with it."""

    key: str
    answer: Callable[[int], Reply] = lambda now_s: Reply(200, {"x-inngest-sdk": "py:v1"})
    now_s: int = 0
    calls: list[tuple[str, bytes]] = field(default_factory=list)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: Any = None
    ) -> Reply:
        self.calls.append((method, body))
        given = headers.get("X-Inngest-Signature", "")
        if not signatures.verify(self.key, body, given, now_s=self.now_s):
            return Reply(401, {"x-inngest-sdk": "py:v1"}, b'{"code":"sig_verification_failed"}')
        return self.answer(self.now_s)


def engine_with(db: Database, app: App, *keys: str) -> Engine:
    engine = Engine(db, sequence("one"))
    app.now_s = int(engine.now.timestamp())
    engine.ctx.transport = app  # type: ignore[assignment]
    engine.ctx.tuning = replace(engine.ctx.tuning, signing_keys=keys)
    return engine


def in_band(key: str, body: bytes = SYNC, *, late: int = 0, sent: bytes | None = None) -> Any:
    def answer(now_s: int) -> Reply:
        signature = signatures.sign(key, body, now_s - late)
        headers = {"x-inngest-sdk": "py:v1", "x-inngest-sync-kind": "in_band"}
        return Reply(200, headers | {"x-inngest-signature": signature}, sent or body)

    return answer


@pytest.mark.parametrize(
    ("app_key", "keys", "status", "calls"),
    [
        (NEW, (NEW,), 200, 1),
        (NEW, (NEW, OLD), 200, 1),
        (OLD, (NEW, OLD), 200, 2),
        (OLD, (NEW,), 401, 1),
        ("aa", (NEW, OLD), 401, 2),
        (NEW, (), 401, 1),
    ],
)
def test_app_with_the_old_key_gets_the_fallback(
    db: Database, app_key: str, keys: tuple[str, ...], status: int, calls: int
) -> None:
    app = App(app_key)
    ctx = engine_with(db, app, *keys).ctx
    for method, body in (("POST", b"{}"), ("PUT", b"{}"), ("GET", b"")):
        app.calls.clear()
        assert signed_requests.send(ctx, method, URL, {}, body).status == status
        assert app.calls == [(method, body)] * calls


def test_other_answers_do_not_repeat_the_request(db: Database) -> None:
    for status in (0, 206, 400, 403, 500):
        app = App(NEW, lambda now_s, status=status: Reply(status))
        ctx = engine_with(db, app, NEW, OLD).ctx
        assert signed_requests.send(ctx, "POST", URL, {}, b"{}").status == status
        assert len(app.calls) == 1


def test_executions_pings_and_probes_are_signed(db: Database) -> None:
    app = App(NEW)
    engine = engine_with(db, app, NEW)
    engine.start()
    engine.drain()
    assert register.ping(engine.ctx, URL, kind="cloud").error is None
    assert register.probe(engine.ctx, URL)
    assert [method for method, _ in app.calls] == ["POST", "PUT", "GET"]


LATE = timedelta(minutes=5, seconds=1)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (in_band(NEW), None),
        (in_band(OLD), None),
        (in_band(NEW, late=300), None),
        (in_band(NEW, late=301), "answer_not_signed"),
        (in_band(NEW, late=-301), "answer_not_signed"),
        (in_band("aa"), "answer_not_signed"),
        (in_band(NEW, sent=SYNC + b"\n"), "answer_not_signed"),
        (in_band(NEW, SYNC.replace(b",", b" ,")), None),  # raw bytes, canonical or not
        (
            lambda _: Reply(200, {"x-inngest-sdk": "a", "x-inngest-sync-kind": "in_band"}, SYNC),
            "answer_not_signed",
        ),
    ],
)
def test_in_band_answers_are_verified(db: Database, answer: Any, error: str | None) -> None:
    engine = engine_with(db, App(NEW, answer), NEW, OLD)
    assert register.ping(engine.ctx, URL, kind="cloud", in_band=True).error == error
    with db.reading() as tx:
        assert (app_list.by_name(tx, "shop") is None) == (error is not None)


@pytest.mark.parametrize(
    ("keys", "code", "fix"),
    [
        ((NEW,), "unauthorized", "the same signing key"),
        ((), "missing_server_signing_key", "INNGEST_SIGNING_KEY"),
    ],
)
def test_a_refusal_is_seen_on_the_app(
    db: Database, keys: tuple[str, ...], code: str, fix: str
) -> None:
    engine = engine_with(db, App("aa"), *keys)
    register.add_placeholder(engine.ctx, URL)
    register.note_ping(engine.ctx, URL, register.ping(engine.ctx, URL, kind="cloud"))
    with db.reading() as tx:
        app = app_list.by_url(tx, URL)
    assert app is not None
    assert app["error"] == code
    assert fix in app["error_detail"]
