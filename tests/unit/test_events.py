"""Users' events are checked; the server's own events have the protocol's form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.events import user_events
from inngest_py.domain.values import canonical, ids

ID = "01JQDAE4RQF8MBCR55T5AK4KXR"
RUN = "01JQDAE4RQF8MBCR55T5AK4KAA"
NOW = 1_700_000_000_123
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(["name", "data", "user", "id", "ts", "v", "meta", "other"])


def parse(payload, size=10):
    return user_events.parse_event(payload, size, NOW, ID)


def payload(event):
    return json.loads(event.payload)


def test_the_smallest_event():
    event = parse({"name": "shop/paid"})
    assert event == user_events.Event(
        id=ID,
        external_id=ID,
        name="shop/paid",
        payload=f'{{"data":{{}},"id":"{ID}","name":"shop/paid","ts":{NOW},"user":{{}}}}',
        ts_ms=NOW,
    )


def test_the_whole_event():
    given = {
        "name": "shop/paid",
        "data": {"b": 1.0, "a": None, "_inngest": {"fn_id": "x"}, "deep": {"_inngest": 1}},
        "user": {"id": 7},
        "id": "paid-1",
        "ts": 1_600_000_000_000,
        "v": "2",
        "meta": {"sessions": {"chat": "c1", "n": 5, "f": 1.5, "gone": None}, "more": 1},
        "unknown": True,
    }
    event = parse(given)
    assert (event.id, event.external_id, event.ts_ms) == (ID, "paid-1", 1_600_000_000_000)
    assert (event.v, event.internal, event.target, event.correlation_id) == ("2", False, None, None)
    assert payload(event) == {
        "name": "shop/paid",
        "data": {"b": 1, "a": None, "deep": {"_inngest": 1}},
        "user": {"id": 7},
        "id": "paid-1",
        "ts": 1_600_000_000_000,
        "v": "2",
        "meta": {"sessions": {"chat": "c1", "n": "5", "f": "1.5"}, "more": 1},
    }
    assert "_inngest" in given["data"]


def test_nulls_and_empty_values_are_absent():
    keys = {"data": None, "user": None, "id": None, "ts": None, "v": None, "meta": None}
    least = parse({"name": "a"})
    assert parse({"name": "a"} | keys) == least
    assert parse({"name": "a", "id": "", "ts": 0, "v": "", "meta": {"sessions": {}}}) == least
    assert parse({"name": "a", "meta": {"sessions": None}}) == least


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, user_events.NOT_EVENTS),
        ("x", user_events.NOT_EVENTS),
        (5, user_events.NOT_EVENTS),
        ([], user_events.NOT_EVENTS),
        ({}, "event name is empty"),
        ({"name": ""}, "event name is empty"),
        ({"name": None}, "event name is empty"),
        ({"name": ["a"]}, "event name must be a string, not an array"),
        ({"name": "inngest/x"}, "event name is reserved for internal use: inngest/x"),
        ({"name": "InnGest/x"}, "event name is reserved for internal use: InnGest/x"),
        ({"name": "a\0"}, "event name holds a NUL character: remove it"),
        ({"name": "\ud800"}, "event name holds half of a surrogate pair"),
        ({"name": "x" * 2049}, "event name is too long: Max 2048 bytes / Size 2049 bytes"),
        ({"id": "é" * 1025}, "event id is too long: Max 2048 bytes / Size 2050 bytes"),
        ({"id": 5}, "event id must be a string, not a number"),
        ({"id": "a\0"}, "event id holds a NUL character: remove it"),
        ({"data": []}, "event data must be an object, not an array"),
        ({"data": "x"}, "event data must be an object, not a string"),
        ({"user": True}, "event user must be an object, not a boolean"),
        ({"v": {}}, "event v must be a string, not an object"),
        ({"ts": "1"}, "event ts must be an integer (Unix milliseconds), not a string"),
        ({"ts": True}, "event ts must be an integer (Unix milliseconds), not a boolean"),
        ({"ts": False}, "event ts must be an integer (Unix milliseconds), not a boolean"),
        ({"ts": 1_600_000_000_000.5}, "event ts must be an integer (Unix milliseconds), not a n"),
        ({"ts": 1}, "timestamp is before the year 1980"),
        ({"ts": -1}, "timestamp is before the year 1980"),
        ({"ts": 315_532_799_999}, "timestamp is before the year 1980"),
        ({"ts": 4_102_444_800_001}, "timestamp is after the year 2100"),
        ({"ts": float("inf")}, "timestamp is after the year 2100"),
        ({"ts": float("nan")}, "event ts must be an integer"),
        ({"meta": []}, "event meta must be an object, not an array"),
        ({"meta": {"sessions": "x"}}, "event meta.sessions must be an object, not a string"),
        ({"meta": {"sessions": {"a": True}}}, "event meta.sessions id must be a string or a numb"),
        ({"meta": {"sessions": {"a": []}}}, "event meta.sessions id must be a string or a number"),
        ({"meta": {"sessions": {"k" * 129: "a"}}}, "event meta.sessions key is too long"),
        ({"meta": {"sessions": {"k": "a" * 513}}}, "event meta.sessions id is too long"),
        ({"meta": {"sessions": dict.fromkeys("abcdef", "x")}}, "event meta.sessions holds 6"),
        ({"meta": {"propagated_sessions": 5}}, "event meta.propagated_sessions must be an object"),
        ({"meta": {"propagated_sessions": {"k" * 129: "a"}}}, "event meta.propagated_sessions key"),
    ],
)
def test_errors_say_what_is_wrong(given, message):
    if isinstance(given, dict) and given and "name" not in given:
        given = {"name": "a"} | given
    with pytest.raises(Invalid) as caught:
        parse(given)
    assert caught.value.message.startswith(message)


def test_the_size_limit():
    assert parse({"name": "a"}, size=3_145_728)
    with pytest.raises(Invalid) as caught:
        parse({"name": "a"}, size=3_145_729)
    assert caught.value.message == (
        "Event is over the max size: Max 3145728 bytes / Size 3145729 bytes"
    )


@pytest.mark.parametrize("ts", [315_532_800_000, 4_102_444_800_000, 1_600_000_000_000.0])
def test_times_within_the_bounds(ts):
    assert parse({"name": "a", "ts": ts}).ts_ms == int(ts)


@given(JSON | st.dictionaries(FIELDS, JSON))
def test_any_json_is_an_event_or_invalid(given):
    try:
        event = parse(given)
    except Invalid:
        return
    assert isinstance(payload(event)["user"], dict)
    assert "_inngest" not in payload(event)["data"]


def nested(levels, value=None):
    value = {} if value is None else value
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_the_deepest_event_can_be_read_again_in_the_servers_own():
    event = parse({"name": "a", "data": nested(149)})
    with pytest.raises(Invalid, match="nested deeper than 150 levels"):
        parse({"name": "a", "data": nested(150)})
    for _ in range(10):
        for built in ended(event=event.payload, status="failed", output="null"):
            canonical.loads(built.payload)
        event = built


@pytest.mark.parametrize("levels", [150, 151, 200])
def test_a_deep_error_does_not_keep_a_run_from_ending(levels):
    output = canonical.dumps({"name": "TypeError", "cause": nested(levels - 1)}).decode()
    finished, _ = ended(status="failed", output=output, error_text="status")
    data = canonical.loads(finished.payload)["data"]
    assert data["error"]["name"] == data["result"]["name"] == "TypeError"
    assert ("[nested too deep]" in finished.payload) == (levels > 150)


def test_an_invocation_from_outside():
    given = {"data": {"a": 1, "_inngest": {"correlation_id": "forged"}}, "name": "ignored"}
    event = user_events.parse_invocation(given, 10, NOW, ID, "shop-ship")
    assert (event.name, event.target, event.internal) == (user_events.INVOKED, "shop-ship", True)
    assert event.correlation_id is None
    assert payload(event)["data"] == {"a": 1, "_inngest": {"fn_id": "shop-ship"}}


@pytest.mark.parametrize("slug", ["", "a\0", "x" * 2049])
def test_an_invocation_needs_its_function(slug):
    with pytest.raises(Invalid, match="slug"):
        user_events.parse_invocation({}, 10, NOW, ID, slug)


def test_an_invocation_by_a_step():
    routing = {"fn_id": "shop-ship", "correlation_id": f"{RUN}.0f", "expire": NOW}
    event = user_events.invoked({"sku": "a"}, routing, id=ID, ts_ms=NOW, v="1")
    assert (event.target, event.correlation_id) == ("shop-ship", f"{RUN}.0f")
    assert payload(event) == {
        "name": "inngest/function.invoked",
        "id": ID,
        "ts": NOW,
        "v": "1",
        "user": {},
        "data": {"sku": "a", "_inngest": routing},
    }


def test_an_invocation_is_not_nested_too_deep():
    with pytest.raises(Invalid, match="nested deeper"):
        user_events.invoked(nested(150), {"fn_id": "f"}, id=ID, ts_ms=NOW)


def ended(**given):
    facts = {
        "run_id": RUN,
        "function_slug": "shop-charge",
        "status": "completed",
        "event": parse({"name": "a", "user": {"id": 1}}).payload,
        "output": '{"ok":true}',
        "correlation_id": None,
        "finished_id": ID,
        "now_ms": NOW,
    }
    return user_events.ended(**facts | given)


def test_a_completed_run():
    (event,) = ended()
    assert (event.id, event.external_id, event.ts_ms, event.internal) == (ID, ID, NOW, True)
    trigger = {"name": "a", "data": {}, "user": {"id": 1}, "id": ID, "ts": NOW}
    assert payload(event) == {
        "name": "inngest/function.finished",
        "id": ID,
        "ts": NOW,
        "user": {},
        "data": {
            "function_id": "shop-charge",
            "run_id": RUN,
            "event": trigger,
            "events": [trigger],
            "result": {"ok": True},
            "_inngest": {"status": "Completed"},
        },
    }


def test_events_omit_an_empty_user():
    (event,) = ended(event=parse({"name": "a"}).payload)
    data = payload(event)["data"]
    assert data["event"]["user"] == {}
    assert "user" not in data["events"][0]


def test_a_null_result_is_kept_and_none_is_not():
    assert payload(ended(output="null")[0])["data"]["result"] is None
    assert "result" not in payload(ended(output=None)[0])["data"]


def test_a_failed_run():
    finished, failed = ended(
        status="failed",
        output='{"name":"TypeError","message":"x"}',
        error_text="invalid status code: 500",
        correlation_id="parent.0f",
    )
    data = payload(finished)["data"]
    assert data["_inngest"] == {"status": "Failed"}
    assert data["correlation_id"] == "parent.0f"
    assert data["result"] == {"name": "TypeError", "message": "x"}
    error = {"error": "invalid status code: 500", "name": "TypeError", "message": "x"}
    assert data["error"] == error
    assert payload(failed)["data"] == data
    assert failed.name == "inngest/function.failed"
    assert failed.external_id == payload(failed)["id"] == RUN
    assert failed.id == ids.following(ID)
    # runs that these events start must not answer the invocation
    assert finished.correlation_id is None and failed.correlation_id is None


def test_a_cancelled_run_has_neither_result_nor_error():
    finished, cancelled = ended(status="cancelled", output='"late"')
    assert not {"result", "error"} & set(payload(finished)["data"])
    assert cancelled.name == "inngest/function.cancelled"
    assert cancelled.external_id == RUN


@pytest.mark.parametrize(
    ("own", "inherited", "kept"),
    [
        (None, {"a": "1"}, {"a": "1"}),
        ({"a": "mine"}, {"a": "1", "b": 2}, {"a": "mine", "b": "2"}),
        ({"a": None}, {"a": "1", "b": "2"}, {"b": "2"}),
        ({"a": None}, {"a": "1"}, None),
        ({"a": "1"}, None, {"a": "1"}),
        ({"a": "1"}, {"a": None, "b": None}, {"a": "1"}),
        (
            dict.fromkeys("vwxy", "1"),
            {"b": "2", "a": "2"},
            {**dict.fromkeys("vwxy", "1"), "a": "2"},
        ),
    ],
)
def test_the_senders_sessions_win_over_inherited_ones(own, inherited, kept):
    meta = {"sessions": own, "propagated_sessions": inherited, "more": 1}
    made = payload(parse({"name": "a", "meta": meta}))
    assert made["meta"] == {"more": 1} | ({"sessions": kept} if kept else {})


def test_sessions_are_copied():
    trigger = parse({"name": "a", "meta": {"sessions": {"chat": "1"}, "more": 1}}).payload
    assert all(
        payload(event)["meta"] == {"sessions": {"chat": "1"}}
        for event in ended(event=trigger, status="failed")
    )


def test_a_batch_answers_each_invocation():
    batch = [
        user_events.invoked({}, {"fn_id": "f", "correlation_id": text}, id=ID, ts_ms=NOW).payload
        for text in ("one", "two")
    ]
    batch.append(parse({"name": "a"}).payload)
    built = ended(event=batch[0], events=batch, correlation_id="one", status="failed")
    assert [event.name.rpartition(".")[2] for event in built] == ["finished", "finished", "failed"]
    assert [payload(event)["data"]["correlation_id"] for event in built] == ["one", "two", "one"]
    assert len({event.id for event in built}) == 3
    assert len(payload(built[0])["data"]["events"]) == 3
