"""Registrations are accepted as a whole or refused as a whole."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inngest_py.domain.errors import Invalid
from inngest_py.domain.functions.function_config import EventTrigger, config_from_json
from inngest_py.domain.functions.registration import parse_function, parse_registration

BASE = "http://localhost:8000/api/inngest"


def function(slug="shop-charge", **given):
    url = f"{BASE}?fnId={slug}&stepId=step"
    step = {"id": "step", "name": "step", "runtime": {"type": "http", "url": url}}
    return {"id": slug, "name": "Charge", "steps": {"step": step}} | given


PYTHON = {
    "appname": "shop",
    "capabilities": {"in_band_sync": "v1", "trust_probe": "v1"},
    "deploy_type": "ping",
    "framework": "flask",
    "functions": [function(cancel=[], concurrency=[], batchEvents=None)],
    "sdk": "py:v0.5.19",
    "url": "http://127.0.0.1:8000/api/inngest?deployId=1&probe=trust",
    "v": "0.1",
}
BAD_CRON = {"cron": "x"}
LEAST = {"appName": "shop", "url": BASE}


def test_a_python_payload():
    made = parse_registration(PYTHON)
    assert (made.app_name, made.url, made.framework) == ("shop", BASE, "flask")
    assert (made.sdk, made.sdk_language, made.sdk_version) == ("py:v0.5.19", "py", "v0.5.19")
    assert (made.deploy_type, made.method, made.platform) == ("ping", "serve", "")
    assert [config.slug for config in made.functions] == ["shop-charge"]
    assert len(made.checksum) == 64


def test_every_field():
    made = parse_registration(
        LEAST
        | {
            "url": "ws://connect?app_name=shop",
            "appVersion": "1.2",
            "deployType": "connect",
            "sdk": "go:v0.1:x",
            "framework": "connect",
            "headers": {"env": "branch", "platform": "vercel"},
            "idempotencyKey": "key",
            "featureObservations": {"a": 1},
            "deployId": None,
        }
    )
    assert made.functions == ()
    assert (made.app_version, made.deploy_type, made.method) == ("1.2", "connect", "connect")
    assert (made.sdk_language, made.sdk_version) == ("go", "v0.1:x")
    assert (made.env, made.platform, made.idempotency_key) == ("branch", "vercel", "key")


def test_an_app_with_a_url_to_call_is_called_whatever_its_deploy_type():
    made = parse_registration(LEAST | {"deployType": "connect"})
    assert (made.deploy_type, made.method) == ("connect", "serve")


@pytest.mark.parametrize(
    "payload",
    [
        {"APPNAME": "shop", "Url": BASE},
        {"appName": "other", "appname": "shop", "url": BASE},
        {"appname": "other", "appName": "shop", "url": BASE},
        {"appName": "shop", "appname": None, "url": BASE},
        LEAST | {"functions": None},
        LEAST | {"functions": []},
        LEAST | {"sdk": None, "headers": None, "deployType": "", "v": 5, "unknown": []},
    ],
)
def test_keys_in_any_case_and_absent_values(payload):
    assert parse_registration(payload) == parse_registration(LEAST)


def test_the_checksum_follows_what_is_registered():
    one = parse_registration(PYTHON)
    assert parse_registration(PYTHON | {"featureObservations": {"x": 1}, "v": "2"}) == one
    for change in (
        {"appName": "other"},
        {"functions": []},
        {"functions": [function(name="Other")]},
        {"framework": "express"},
        {"sdk": "py:v0.5.20"},
        {"appVersion": "2"},
    ):
        payload = {**PYTHON, **change}
        if "appName" in change:
            del payload["appname"]
        assert parse_registration(payload).checksum != one.checksum
    assert replace(one, checksum="") != one


@pytest.mark.parametrize(
    ("payload", "field", "code", "message"),
    [
        (None, None, None, "the payload must be an object, not null"),
        ([], None, None, "the payload must be an object, not an array"),
        ({"url": BASE}, "appName", "config_invalid", "App ID required"),
        (LEAST | {"appName": ""}, "appName", "config_invalid", "App ID required"),
        (LEAST | {"appName": 5}, "appName", "config_invalid", "appName must be a string"),
        (LEAST | {"appName": "x" * 256}, "appName", "config_invalid", "appName is over 255 char"),
        ({"appName": "shop"}, "url", "config_invalid", "url is missing"),
        (LEAST | {"url": "nowhere"}, "url", "config_invalid", "url must begin with http://"),
        (LEAST | {"deployType": "push"}, "deployType", "config_invalid", "deployType must be"),
        (LEAST | {"sdk": {}}, "sdk", "config_invalid", "sdk must be a string, not an object"),
        (LEAST | {"headers": "x"}, "headers", "config_invalid", "headers must be an object"),
        (LEAST | {"headers": {"env": 1}}, "headers.env", "config_invalid", "headers.env must"),
        (LEAST | {"functions": {}}, "functions", "config_invalid", "functions must be an array"),
        (LEAST | {"functions": ["x"]}, "functions[0]", "config_invalid", "functions[0] must be"),
        (LEAST | {"functions": [function()] * 2}, "functions[1].id", "config_invalid",
         "functions[1].id 'shop-charge' is given twice"),
        (LEAST | {"functions": [{}] * 1001}, "functions", "config_invalid",
         "functions holds 1001 items: at most 1000 are allowed"),
        (LEAST | {"functions": [function(), function("b", triggers=[{"event": "a"}, BAD_CRON])]},
         "functions[1].triggers[1].cron", "schedule_invalid", "functions[1].triggers[1].cron is"),
    ],
)  # fmt: skip
def test_bad_payloads_are_refused(payload, field, code, message):
    with pytest.raises(Invalid) as caught:
        parse_registration(payload)
    assert caught.value.message.startswith(message)
    if field is not None:
        assert (caught.value.field, caught.value.code) == (field, code)


def test_a_function_in_plain_json():
    given = {"app": "My shop", "name": "Charge it", "url": "http://127.0.0.1:8000/charge?k=1"}
    made = parse_function(given | {"triggers": [{"event": "a"}], "retries": 2})
    (config,) = made.functions
    assert (made.app_name, made.url) == ("My shop", "http://localhost:8000/charge?k=1")
    assert config.slug == "my-shop-charge-it"
    assert config.url == ("http://localhost:8000/charge?fnId=my-shop-charge-it&k=1&stepId=step")
    assert config.triggers == (EventTrigger("a"),)
    assert (config.retries, made.sdk_language) == (2, "")


@pytest.mark.parametrize(
    ("url", "step_url"),
    [
        (BASE, f"{BASE}?fnId=f&stepId=step"),
        (f"{BASE}?fnId=other", f"{BASE}?fnId=other&stepId=step"),
        (f"{BASE}?stepId=s&fnId=other", f"{BASE}?fnId=other&stepId=s"),
    ],
)
def test_a_plain_url_is_completed(url, step_url):
    made = parse_function({"app": "shop", "id": "f", "name": "F", "url": url})
    assert made.functions[0].url == step_url
    assert made.url == BASE


def test_a_function_in_an_sdks_shape():
    given = function() | {"app": "shop", "url": "http://ignored.example"}
    assert parse_function(given).functions == parse_registration(PYTHON).functions
    assert parse_function(given).url == BASE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"app": None}, "app"),
        ({"app": 5}, "app"),
        ({"name": ""}, "name"),
        ({"url": None}, "url"),
        ({"url": "x"}, "url"),
        ({"url": 5}, "url"),
        ({"triggers": 5}, "triggers"),
        ({"steps": {}}, "steps"),
        ({"app": "日本", "name": "日本"}, "id"),
    ],
)
def test_bad_plain_json_is_refused(change, field):
    with pytest.raises(Invalid) as caught:
        parse_function({"app": "shop", "name": "F", "url": BASE} | change)
    assert caught.value.field == field


KEYS = [
    "appName", "url", "functions", "sdk", "headers", "deployType", "id", "name", "triggers",
    "event", "cron", "expression", "jitter", "steps", "step", "runtime", "type", "retries",
    "attempts", "concurrency", "fn", "limit", "scope", "key", "throttle", "period", "burst",
    "rateLimit", "idempotency", "debounce", "timeout", "batchEvents", "maxSize", "if", "priority",
    "run", "cancel", "timeouts", "start", "finish", "singleton", "mode", "checkpoint", "app",
    "batch_steps",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([BASE, "1m", "-1s", "env", "fn", "skip", "* * * * *", "event.data.a", "a/*"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=6)
    ),
    max_leaves=12,
)
OBJECT = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6)


def check(parse, payload):
    try:
        made = parse(payload)
    except Invalid as error:
        assert error.message
        return
    for config in made.functions:
        assert config_from_json(config.to_json()) == config


@settings(deadline=None)
@given(JSON)
def test_any_json_is_a_registration_or_invalid(payload):
    check(parse_registration, payload)
    check(parse_function, payload)


@settings(deadline=None, max_examples=300)
@given(OBJECT)
def test_any_function_is_registered_or_invalid(changes):
    check(parse_registration, LEAST | {"functions": [function() | changes]})
    check(parse_function, {"app": "shop", "name": "F", "url": BASE} | changes)
