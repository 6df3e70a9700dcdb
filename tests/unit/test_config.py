"""Settings: flags win over the environment, the environment over the file; errors name a fix."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import make_url

from inngest_py.config import Settings
from inngest_py.config_reading import (
    from_environment,
    from_file,
    load,
    read,
    to_environment,
    unknown,
)
from inngest_py.domain.errors import Invalid
from inngest_py.domain.runs.retention import Keep


def test_flags_beat_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("port: 1\nhost: file\nlog-level: debug\n")
    environ = {"INNGEST_PORT": "2", "INNGEST_HOST": "environment"}
    settings = load({"port": 3}, environ, file)
    assert (settings.port, settings.host, settings.log_level) == (3, "environment", "debug")


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('event_key = ["a", "b"]\nport = 9\n')
    assert from_file(file) == ({"event_keys": ("a", "b"), "port": 9}, [])


@pytest.mark.parametrize(
    "text", ["colour: red", "- 1", "port: many", "a: [", "port: [1]", "a: " + "[" * 3000]
)
def test_the_error_of_a_bad_file_names_what_is_wrong(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(Invalid, match=r"c\.yaml"):
        load({}, {}, file)


def test_common_variables_are_read_and_our_own_win() -> None:
    found = from_environment({"DATABASE_URL": "a", "INNGEST_DATABASE_URL": "b", "REDIS_URL": "r"})
    assert found == ({"database_url": "b", "broker_url": "r"}, [])


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(Invalid, match="INNGEST_PORT"):
        load({}, {"INNGEST_PORT": "x"})


@pytest.mark.parametrize("text", ["http://127.0.0.1:1", "localhost:8288", ""])
def test_the_server_ignores_a_url_in_the_sdks_switch(text: str) -> None:
    assert from_environment({"INNGEST_DEV": text}) == ({}, [])


@pytest.mark.parametrize(("text", "dev"), [("1", True), ("true", True), ("0", False)])
def test_the_switch_chooses_the_mode(text: str, dev: bool) -> None:
    assert load({}, {"INNGEST_DEV": text}).dev is dev


def test_keys_come_from_flags_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("signing_key: '00ff'\nevent_key: [a, b]\nsigning-key-fallback: '01'\n")
    settings = load({}, {"INNGEST_SIGNING_KEY_FALLBACK": "02", "INNGEST_EVENT_KEY": "c, d"}, file)
    assert settings.signing_keys == ("00ff", "02")
    assert settings.event_keys == ("c", "d")
    assert load({"signing_key": "03"}, {}, file).signing_keys == ("03", "01")


@pytest.mark.parametrize("line", ["signing_key: 0123", "event_key: 5", "event_key: [a, 5]"])
def test_a_key_that_the_file_makes_a_number_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(line)
    with pytest.raises(Invalid, match="quotes"):
        load({}, {}, file)


SECRETS = ("5ec7e7", "hunter2")


@pytest.mark.parametrize("name", ["c.yaml", "c.toml"])
@pytest.mark.parametrize(
    "line", ["signing_key: [5ec7e7", "{5ec7e7", "5ec7e7: hunter2: x", "= 5ec7e7"]
)
def test_a_file_that_cannot_be_read_is_not_quoted(tmp_path: Path, name: str, line: str) -> None:
    file = tmp_path / name
    file.write_text(line)
    [message] = from_file(file).errors
    assert not any(secret in message for secret in SECRETS)


def test_secrets_are_not_shown() -> None:
    flags = {"signing_key": "5ec7e7", "signing_key_fallback": "5ec7e7", "event_keys": ("hunter2",)}
    url = "postgresql://u:hunter2@h/x"
    settings = load({**flags, "database_url": url, "broker_url": "redis://:hunter2@h"}, {})
    messages = [repr(settings), *settings.errors(), *settings.warnings(), *settings.missing_keys()]
    bad = load({"signing_key": "5ec7e7x", "signing_key_fallback": "hunter2"}, {})
    messages += bad.errors()
    assert len(bad.errors()) == 2
    assert not any(secret in text for secret in SECRETS for text in messages)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["openssl rand -hex 32", "openssl rand -hex 16"]),
        ({"event_keys": ("a",)}, ["INNGEST_SIGNING_KEY"]),
        ({"signing_key": "00ff"}, ["--event-key"]),
        ({"signing_key": "00ff", "event_keys": ("a",)}, []),
        ({"dev": True}, []),
    ],
)
def test_production_needs_both_keys(given: dict[str, object], missing: list[str]) -> None:
    messages = load(given, {}).missing_keys()
    assert len(messages) == len(missing)
    assert all(text in line for text, line in zip(missing, messages, strict=True)), messages
    assert all("INNGEST_DEV=1" in line for line in messages)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 0}, "--port"),
        ({"concurrency": 0}, "--concurrency"),
        ({"database_url": "mysql://x/y"}, "not supported"),
        ({"database_url": "::"}, "--database-url"),
        ({"database_url": "postgresql+psycopg://h/x"}, "begin the database URL with postgresql://"),
        ({"database_url": "postgresql+asyncpg://h/x"}, "'asyncpg' is not supported"),
        ({"database_url": "sqlite+aiosqlite:///x"}, "begin the database URL with sqlite://"),
        ({"database_url": "postgresql://db:port/x"}, "--database-url"),
        ({"workers": 2}, "--redis-url"),
        ({"log_level": "loud"}, "log level"),
        ({"tick_ms": 0}, "--tick"),
        ({"test_api": True}, "INNGEST_TEST_API"),
        ({"poll_interval": -1.0}, "--poll-interval"),
        ({"retry_interval": float("nan")}, "--retry-interval"),
        ({"grace_seconds": float("inf")}, "--grace"),
        ({"lease_seconds": 0.5}, "INNGEST_LEASE_SECONDS"),
        ({"event_keys": ("a", "")}, "--event-key"),
        ({"invoke_keys": ("a", "")}, "--invoke-key"),
        ({"invoke_keys": ("a", "off")}, "--invoke-key"),
        ({"invoke_keys": ("OFF", "a")}, "--invoke-key"),
        ({"signing_key": "signkey-prod-secret"}, "--signing-key"),
        ({"signing_key": "signkey-prod-"}, "--signing-key"),
        ({"signing_key": "00", "signing_key_fallback": "0"}, "--signing-key-fallback"),
        ({"signing_key_fallback": "00"}, "--signing-key"),
        ({"sdk_urls": ("http://a/" + "x" * 2048,)}, "--sdk-url"),
        ({"sdk_urls": ("http://a/" + "ü" * 400,)}, "--sdk-url"),
        ({"sdk_urls": ("ws://a/b",)}, "--sdk-url"),
        ({"sdk_urls": ("http://",)}, "--sdk-url"),
        ({"sdk_urls": ("nonsense",)}, "--sdk-url"),
        ({"alert_urls": ("hook",)}, "INNGEST_ALERT_URLS"),
        ({"alert_urls": ("slack+http://[bad",)}, "INNGEST_ALERT_URLS"),
        ({"alert_urls": ("https://host:port/hook",)}, "INNGEST_ALERT_URLS"),
    ],
)
def test_every_error_names_its_fix(changes: dict[str, object], message: str) -> None:
    errors = load(changes, {}).errors()
    assert any(message in error for error in errors), errors


@pytest.mark.parametrize(
    ("given", "polls", "seconds"),
    [
        ({}, False, 5.0),
        ({"poll_interval": 2.0}, True, 2.0),
        ({"poll_interval": 0.0}, False, 5.0),
        ({"poll": True}, True, 5.0),
        ({"poll": True, "poll_interval": 0.0}, False, 5.0),
        ({"poll": False, "poll_interval": 2.0}, False, 2.0),
    ],
)
def test_polling_is_on_by_switch_or_by_interval(
    given: dict[str, object], polls: bool, seconds: float
) -> None:
    settings = load(given, {})
    assert (settings.polls, settings.ping_seconds) == (polls, seconds)


def test_the_default_is_a_file_that_outlives_the_process() -> None:
    settings = load({}, {})
    assert settings.embedded
    assert settings.database_url.startswith("sqlite:////")
    assert not settings.errors()
    assert Settings().sqlite_synchronous == "FULL"


def test_the_policy_for_missed_ticks_is_one_of_three() -> None:
    assert load({}, {"INNGEST_CRON_MISSED": "all"}).cron_missed == "all"
    [message] = replace(load({}, {}), cron_missed="some").errors()
    assert "--cron-missed" in message


@pytest.mark.parametrize(
    ("age", "count", "kept"),
    [
        ("forever", None, Keep()),
        ("", None, Keep()),
        ("0", 5, Keep(None, 5)),
        ("30d", None, Keep(timedelta(days=30))),
        ("1h30m", 7, Keep(timedelta(minutes=90), 7)),
    ],
)
def test_retention_is_read(age: str, count: int | None, kept: Keep) -> None:
    assert Settings(keep_runs=age, keep_count=count).keep() == kept


@pytest.mark.parametrize(
    ("age", "count", "message"),
    [
        ("30", None, "--keep-runs"),
        ("-1d", None, "--keep-runs"),
        ("1ms", None, "--keep-runs"),
        ("36501d", None, "--keep-runs"),
        ("30d", 0, "--keep-count"),
        ("forever", -1, "--keep-count"),
    ],
)
def test_bad_retention_names_its_fix(age: str, count: int | None, message: str) -> None:
    settings = Settings(database_url="sqlite://", keep_runs=age, keep_count=count)
    assert any(message in error for error in settings.errors())


def test_the_audit_log_is_kept_for_a_year_or_as_configured() -> None:
    kept = {text: Settings(keep_audit=text).audit_kept() for text in ("90d", "forever")}
    assert kept == {"90d": timedelta(days=90), "forever": None}
    assert Settings().audit_kept() == timedelta(days=365)
    [message] = Settings(database_url="sqlite://", keep_audit="soon").errors()
    assert "INNGEST_KEEP_AUDIT" in message


def test_all_mistakes_of_file_and_environment_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("colour: red\nport: many\ntick_ms: 9\n")
    environ = {"INNGEST_WORKERS": "two", "INNGEST_UI": "maybe", "INNGEST_CONCURRENCY": "7"}
    settings, errors = read({}, environ, file)
    assert (settings.tick_ms, settings.concurrency, settings.port) == (9, 7, 8288)
    expected = ["'colour'", "port = 'many'", "INNGEST_WORKERS='two'", "INNGEST_UI='maybe'"]
    assert len(errors) == len(expected)
    assert all(text in line for text, line in zip(expected, errors, strict=True)), errors


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("INNGEST_KEEP_RUN", "did you mean INNGEST_KEEP_RUNS?"),
        ("INNGEST_SIGNINGKEY", "did you mean INNGEST_SIGNING_KEY?"),
        ("INNGEST_COLOUR", "it has no effect"),
        ("INNGEST_METRIC_PORT", "did you mean INNGEST_METRICS_PORT?"),
    ],
)
def test_an_unknown_variable_is_reported(variable: str, message: str) -> None:
    [line] = unknown({variable: "5ec7e7", "HOME": "/"})
    assert line.startswith(variable)
    assert message in line
    assert "5ec7e7" not in line


@pytest.mark.parametrize(
    "environ",
    [
        to_environment(Settings(workers=2, event_keys=("k",))),
        {"INNGEST_BASE_URL": "http://x", "INNGEST_ENV": "staging", "INNGEST_SERVE_PATH": "/x"},
        # Kubernetes sets these in every pod beside a service named inngest, or inngest-py
        {"INNGEST_PORT": "tcp://10.0.0.1:8288", "INNGEST_PORT_8288_TCP_ADDR": "10.0.0.1"},
        {"INNGEST_SERVICE_HOST": "10.0.0.1", "INNGEST_SERVICE_PORT": "8288"},
        {
            "INNGEST_PY_SERVICE_HOST": "10.0.0.1",
            "INNGEST_PY_SERVICE_PORT_HTTP": "8288",
            "INNGEST_PY_PORT": "tcp://10.0.0.1:8288",
            "INNGEST_PY_PORT_8288_TCP": "tcp://10.0.0.1:8288",
            "INNGEST_PY_PORT_8288_TCP_PROTO": "tcp",
        },
    ],
)
def test_known_variables_are_not_reported(environ: dict[str, str]) -> None:
    assert unknown(environ) == []
    assert read({}, environ)[1] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signing_key": "signkey-prod-" + "ab" * 15, "event_keys": ("k" * 16,)}, "signing key"),
        ({"signing_key_fallback": "ab", "signing_key": "ab" * 16}, "signing key"),
        ({"event_keys": ("k" * 16, "short")}, "event key"),
        ({"invoke_keys": ("k" * 16, "no")}, "key of /invoke"),
        ({"broker_url": "rediss://h"}, "ssl_cert_reqs=required"),
        ({"broker_url": "rediss://h?ssl_cert_reqs=CERT_NONE"}, "ssl_cert_reqs=required"),
        ({"broker_url": "rediss://h?ssl_cert_reqs=none"}, "ssl_cert_reqs=required"),
        ({"database_url": "postgresql://h/x"}, "give --redis-url"),
    ],
)
def test_surprising_settings_give_a_warning(changes: dict[str, object], message: str) -> None:
    warnings = load(changes, {}).warnings()
    assert [message in warning for warning in warnings].count(True) == 1, warnings


@pytest.mark.parametrize(
    "changes",
    [
        {"signing_key": "signkey-prod-" + "ab" * 16, "event_keys": ("k" * 16,)},
        {"signing_key": "ab" * 32, "invoke_keys": ("off",)},
        {"signing_key": "ab" * 32, "database_url": "postgresql://h/x", "broker_url": "redis://h"},
        {"broker_url": "rediss://h?ssl_cert_reqs=required", "database_url": "postgresql://h/x"},
        {"dev": True},
    ],
)
def test_good_settings_have_no_warning(changes: dict[str, object]) -> None:
    assert load(changes, {}).warnings() == []


@pytest.mark.parametrize(
    ("given", "hosts", "ports"),
    [
        ("postgresql://u:a,b@h1,h2:6432/x?sslmode=require", "h1,h2", "5432,6432"),
        ("postgres://u@[::1]:1,h2/x", "::1,h2", "1,5432"),
        ("postgresql+psycopg2://h1:1,h2:2,h3:3/x?target_session_attrs=any", "h1,h2,h3", "1,2,3"),
    ],
)
def test_a_list_of_hosts_is_read_as_libpq_reads_it(given: str, hosts: str, ports: str) -> None:
    settings = load({"database_url": given}, {})
    assert settings.errors() == []
    _, options = PGDialect_psycopg2().create_connect_args(make_url(settings.database_url))
    assert (options["host"], options["port"], options["dbname"]) == (hosts, ports, "x")
    assert options.get("password") == ("a,b" if "a,b" in given else None)
    assert load({}, to_environment(settings)).database_url == settings.database_url


def test_hosts_that_may_be_called_are_read_and_checked() -> None:
    found = load({}, {"INNGEST_CALL_HOSTS": "public-only, !10.6.0.0/16"})
    assert found.call_hosts == ("public-only", "!10.6.0.0/16")
    assert found.reach().refusal("h", "10.1.1.1") is not None
    assert load({}, {}).reach().refusal("h", "169.254.169.254") is not None
    assert load({"dev": True}, {}).reach().refusal("h", "169.254.169.254") is None
    [message] = load({"dev": True}, {"INNGEST_CALL_HOSTS": "10.0.0.0/99"}).errors()
    assert "INNGEST_CALL_HOSTS: '10.0.0.0/99' is none of" in message
    apps = {"INNGEST_CALL_HOSTS": "a.com", "INNGEST_SDK_URLS": "b.com/api,http://a.com/api"}
    [message] = load({"dev": True}, apps).errors()
    assert message.startswith("--sdk-url: the server may not call b.com: ")
