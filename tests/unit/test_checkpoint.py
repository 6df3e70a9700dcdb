"""What a checkpoint may hold, and how its dispatch is named."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from inngest_py.domain.errors import Invalid, Superseded, TooLarge
from inngest_py.domain.limits import MAX_STEP_BYTES
from inngest_py.domain.reply import checkpoint
from inngest_py.domain.steps import timing
from tests.factories import RUN_ID, item, op, step

TOKEN = checkpoint.token(item(generation=3))
NS = 1_700_000_000_000_000_000


def parsed(*ops: Any, **changes: Any) -> checkpoint.Checkpoint:
    body = {"run_id": RUN_ID, "qi_id": TOKEN, "steps": list(ops)} | changes
    return checkpoint.parse(orjson.dumps(body), RUN_ID)


def test_a_token_names_item_lease_and_generation() -> None:
    made = item(generation=3)
    assert checkpoint.read_token(TOKEN) == checkpoint.Dispatch(made.id, made.lease_id, 3)


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        7,
        "no base64!",
        "aGk=",
        "YTo6Yg==",
        "YTo6Yjo6Yw==",
        "YQA6OmI6OjE=",
        "Ojo6Og==",
        "é",
    ],
)
def test_text_that_is_not_a_token_is_refused(token: Any) -> None:
    with pytest.raises(Invalid, match="qi_id"):
        parsed(qi_id=token)


def test_results_are_stored_as_in_an_answer() -> None:
    timed = op("StepRun", "a", data={"b": 1}, timing={"a": NS, "b": 12_000_000})
    found = parsed(timed, op("step", "b", data=2), op("StepPlanned", "c"), op("DeferAdd", "d"))
    assert [(r.hash, r.value) for r in found.results] == [
        (step("a"), '{"data":{"b":1}}'),
        (step("b"), "2"),
    ]
    start = datetime.fromtimestamp(NS / 1e9, UTC)
    assert [t.took for t in found.timeline] == [(start, start + timedelta(milliseconds=12)), None]


@pytest.mark.parametrize(
    "code", ["StepError", "StepFailed", "Sleep", "RunComplete", "DiscoveryRequest"]
)
def test_other_ops_are_refused(code: str) -> None:
    with pytest.raises(Invalid, match=f"{code} cannot be checkpointed"):
        parsed(op(code, "a", error={"name": "Error"}, name="1s"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 7}, "steps must be an array"),
        ({"steps": [7]}, "an op is not an object"),
        ({"steps": [{"op": "Nope"}]}, "Nope does not belong to Opcode values"),
        ({"steps": [{"op": "StepRun"}]}, "StepRun has no id"),
        ({"run_id": "other"}, "run_id is not the run of the URL"),
    ],
)
def test_bad_bodies_say_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parsed(**changes)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'"x"'])
def test_a_body_that_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        checkpoint.parse(body, RUN_ID)


@pytest.mark.parametrize("generation", [None, 0, 3, "x"])
def test_a_missing_or_equal_generation_is_accepted(generation: Any) -> None:
    assert parsed(generation_id=generation).dispatch.generation == 3


def test_another_generation_is_superseded() -> None:
    with pytest.raises(Superseded):
        parsed(generation_id=2)


def test_a_checkpoint_without_steps_is_accepted() -> None:
    assert parsed(steps=None).results == []


def test_limits() -> None:
    with pytest.raises(TooLarge, match="output of step 'a'"):
        parsed(op("StepRun", "a", data="x" * MAX_STEP_BYTES))
    with pytest.raises(TooLarge, match="1000 ops"):
        parsed(*[op("StepRun", str(n)) for n in range(1001)])


@pytest.mark.parametrize(
    "value",
    [
        *(None, 7, [], {}, {"a": NS}, {"a": "x", "b": 1}, {"a": NS, "b": -1}),
        *({"a": 10**30, "b": 1}, {"a": NS, "b": 1e300}, {"a": 5, "b": 5}),
    ],
)
def test_an_impossible_timing_is_ignored(value: Any) -> None:
    assert timing.read(value) is None
