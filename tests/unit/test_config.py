"""Settings: flags over environment over file, every error with its fix."""

from pathlib import Path

import pytest

from inngest_py.config import Settings, from_environment, from_file, load, to_environment
from inngest_py.domain.errors import Invalid


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("port: 1\nhost: file\nlog-level: debug\n")
    environ = {"INNGEST_PORT": "2", "INNGEST_HOST": "environment"}
    settings = load({"port": 3}, environ, file)
    assert (settings.port, settings.host, settings.log_level) == (3, "environment", "debug")


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('event_key = ["a", "b"]\nport = 9\n')
    assert from_file(file) == {"event_keys": ("a", "b"), "port": 9}


@pytest.mark.parametrize("text", ["colour: red", "- 1", "port: many", "a: [", "port: [1]"])
def test_a_bad_file_names_what_is_wrong(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(Invalid, match=r"c\.yaml"):
        from_file(file)


def test_common_variables_are_read_and_our_own_win() -> None:
    found = from_environment({"DATABASE_URL": "a", "INNGEST_DATABASE_URL": "b", "REDIS_URL": "r"})
    assert found == {"database_url": "b", "broker_url": "r"}


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(Invalid, match="INNGEST_PORT"):
        from_environment({"INNGEST_PORT": "x"})


def test_the_sdks_own_switch_says_nothing_to_the_server() -> None:
    assert from_environment({"INNGEST_DEV": "http://127.0.0.1:1"}) == {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"port": 0}, "--port"),
        ({"concurrency": 0}, "--concurrency"),
        ({"database_url": "mysql://x/y"}, "not supported"),
        ({"database_url": "::"}, "--database-url"),
        ({"workers": 2}, "--redis-url"),
        ({"log_level": "loud"}, "log level"),
        ({"tick_ms": 0}, "--tick"),
        ({"signing_key": "signkey-prod-secret"}, "--signing-key"),
    ],
)
def test_every_error_names_its_fix(changes: dict[str, object], told: str) -> None:
    errors = load(changes, {}).errors()
    assert any(told in error for error in errors), errors


def test_a_child_process_gets_the_same_settings() -> None:
    settings = load(
        {"event_keys": ("a", "b"), "broker_url": "redis://r", "retry_interval": 1.5}, {}
    )
    assert load({}, to_environment(settings)) == settings


def test_the_default_is_a_file_that_outlives_the_process() -> None:
    settings = load({}, {})
    assert settings.embedded
    assert settings.database_url.startswith("sqlite:////")
    assert not settings.errors()
    assert Settings().sqlite_synchronous == "FULL"
