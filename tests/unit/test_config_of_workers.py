"""Settings on their way to supervised workers: through the environment, unharmed or refused."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from inngest_py.config_reading import from_environment, load, read, to_environment
from inngest_py.domain.runs.retention import Keep


def test_a_child_process_gets_the_same_settings() -> None:
    settings = load(
        {"event_keys": ("a", "b"), "broker_url": "redis://r", "retry_interval": 1.5}, {}
    )
    assert load({}, to_environment(settings)) == settings
    keyed = replace(settings, dev=True, signing_key="00", signing_key_fallback="01")
    assert load({}, to_environment(keyed)) == keyed


@pytest.mark.parametrize(
    ("variable", "given"),
    [
        ("INNGEST_EVENT_KEY", {"event_keys": ("flag",)}),
        ("INNGEST_INVOKE_KEY", {"invoke_keys": ("flag",)}),
        ("INNGEST_SDK_URL", {"sdk_urls": ("http://flag",)}),
        ("INNGEST_REDIS_URL", {"broker_url": "redis://flag"}),
        ("REDIS_URL", {"broker_url": "redis://flag"}),
        ("DATABASE_URL", {"database_url": "sqlite:///flag"}),
    ],
)
def test_a_child_process_goes_by_the_flags_of_its_parent(
    variable: str, given: dict[str, object]
) -> None:
    environ = {variable: "other"}
    settings = load(given, environ)
    assert load({}, environ | to_environment(settings)) == settings


LISTS = ("event_keys", "invoke_keys", "sdk_urls", "ui_proxies", "call_hosts", "alert_urls")


@pytest.mark.parametrize("value", ["s3,cret", " s3cret", "s3cret\t", "s3\ncret", "s3\rcret"])
@pytest.mark.parametrize("name", LISTS)
def test_a_value_that_would_reach_workers_as_another_is_refused(
    name: str, value: str, tmp_path: Path
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"{name} = {json.dumps(['c', value])}\n")
    for settings in (load({name: ("c", value)}, {}), load({}, {}, file)):
        told = [error for error in settings.errors() if error.startswith(f"{name}: ")]
        assert len(told) == 1
        assert "cret" not in told[0]


def test_a_file_with_a_nul_is_refused(tmp_path: Path) -> None:
    """No environment could carry it to a worker."""
    file = tmp_path / "c.yaml"
    file.write_text('host: "a\\0b"\nevent_keys: ["a\\0b"]\n')
    told = [f"{file}: {name} holds a NUL character" for name in ("host", "event_keys")]
    assert read({}, {}, file)[1] == told


def test_retention_reaches_workers() -> None:
    settings = load({"keep_runs": "30d"}, {"INNGEST_KEEP_COUNT": "9"})
    assert from_environment(to_environment(settings)).values["keep_runs"] == "30d"
    assert settings.keep() == Keep(timedelta(days=30), 9)
