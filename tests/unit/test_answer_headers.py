"""Headers of answers that failed: what is kept of them, and what is hidden."""

from typing import Any

import orjson
import pytest

from inngest_py.domain.reply import answer_headers as rules
from inngest_py.domain.reply.plans import TimelineEntry
from tests.factories import op, reply
from tests.unit.test_plan import planned

SERVED = {"x_served_by": "shop-3"}
KEPT = {"x-inngest-sdk": "py:v1", "x-served-by": "shop-3"}
ERROR = {"name": "E", "message": "m"}


def kept_by(entry: TimelineEntry) -> Any:
    info = None if entry.info is None else orjson.loads(entry.info)
    return rules.apart(info)[1]


@pytest.mark.parametrize(
    ("status", "body", "attempt"),
    [
        (500, ERROR, 0),
        (500, ERROR, 2),
        (502, b"<html>", 0),
        (206, [op("StepError", "a", error=ERROR)], 0),
        (206, [op("StepFailed", "a", error=ERROR)], 0),
    ],
)
def test_a_failed_attempt_keeps_the_headers_of_its_answer(
    status: int, body: Any, attempt: int
) -> None:
    [entry] = planned(reply(status, body, **SERVED), attempt=attempt).timeline
    assert entry.status in ("failed", "errored")
    assert kept_by(entry) == KEPT


@pytest.mark.parametrize(("status", "body"), [(200, 1), (206, [op("StepRun", "a", data=1)])])
def test_an_attempt_that_succeeds_keeps_none(status: int, body: Any) -> None:
    [entry] = planned(reply(status, body, **SERVED)).timeline
    assert entry.info is None


def test_headers_stand_beside_what_a_step_was_called_with() -> None:
    failed = op("StepError", "a", error=ERROR, opts={"input": [7]})
    [entry] = planned(reply(206, [failed], **SERVED)).timeline
    assert entry.info is not None
    rest, headers = rules.apart(orjson.loads(entry.info))
    assert (rest, headers) == ({"input": [7]}, KEPT)


def test_secrets_are_hidden_and_all_is_bounded() -> None:
    secrets = ("set-cookie", "Authorization", "x-api-key", "x-inngest-signature", "x-csrf-token")
    assert set(rules.kept(dict.fromkeys(secrets, "s3cret")).values()) == {rules.HIDDEN}
    assert rules.kept({"Date": "today", "content-length": "7", "via": "proxy"}) == {"via": "proxy"}
    many = rules.kept({f"x-{n}": "v" for n in range(50)})
    assert list(many) == [f"x-{n}" for n in range(rules.MOST_HEADERS)]
    long = rules.kept({f"x-{n}": "v" * 9_000 for n in range(50)})
    assert 1_500 < sum(len(name) + len(value) for name, value in long.items()) <= rules.MOST_CHARS
