"""`errors`: list error groups, and mute, resolve or open one, through the REST API."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypedDict
from urllib.parse import quote

import click

from ...domain.errors import Invalid
from ...domain.reports.error_groups import ErrorState
from ...domain.values import durations
from ...domain.values.json_types import JsonObject
from ..client import as_json_option, call, url_option
from ..operations.beginning import begin_operation, dry_run_option, follow_option, rate_option

_STATES = [state.value for state in ErrorState]
_ORDERS = ("last_seen", "runs", "first_seen")
_MOST_LINE = 100
_json_option = click.option("--json", "as_json", is_flag=True, help="Print the server's answer.")


class _Run(TypedDict):
    id: str
    status: str
    queued_at: str


class _Version(TypedDict):
    app_version: str
    sdk: str
    sync: str
    runs: int


class _Shown(TypedDict):
    id: str
    function: str
    app: str
    step: str | None
    name: str
    message: str
    runs: int
    first_seen: str
    last_seen: str
    state: str
    muted_until: str | None
    regressed_at: str | None
    is_new_since_deploy: bool


class _Retrying(TypedDict):
    error_id: str
    function: str
    step: str | None
    name: str
    message: str
    runs: int
    next_attempt_at: str


class _Whole(_Shown):
    frames: list[str]
    versions: list[_Version]
    sample_runs: list[_Run]
    still_failed: int


@click.group()
def errors() -> None:
    """Look at what runs failed for, counted by cause; mute, resolve or open it."""


@errors.command("list")
@click.option("--state", multiple=True, type=click.Choice(_STATES), help="Open ones if left out.")
@click.option("--all", "every", is_flag=True, help="In every state.")
@click.option("--function", help="Only of this function, by slug or id.")
@click.option("--app", help="Only of this app, by name or id.")
@click.option("--text", help="Only those whose message, name, step or function hold it.")
@click.option("--order", type=click.Choice(_ORDERS), default="last_seen", show_default=True)
@click.option("--limit", default=20, show_default=True)
@_json_option
@url_option
def list_(
    state: tuple[str, ...],
    every: bool,
    function: str | None,
    app: str | None,
    text: str | None,
    order: str,
    limit: int,
    as_json: bool,
    url: str,
) -> None:
    """List errors: id, runs that failed, when the last did, function, step, error."""
    states = [] if every else list(state) or [ErrorState.OPEN.value]
    query = {"state": states, "function": function, "app": app, "text": text}
    body = call("GET", f"{url}/v1/errors", params=query | {"order": order, "limit": limit})
    if as_json:
        click.echo(json.dumps(body, indent=2))
        return
    if not body["data"]:
        click.echo("no errors" if every else f"no errors that are {' or '.join(states)}", err=True)
    for one in body["data"]:
        click.echo(_line(one))


def _line(one: _Shown) -> str:
    left = f"{one['id']}  {_state(one):<9}  {_runs(one['runs']):>12}  {one['last_seen']}"
    return f"{left}  {_where(one)}  {_told(one)}"


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"


def _state(one: _Shown) -> str:
    if one["state"] == ErrorState.OPEN and one["regressed_at"] is not None:
        return "regressed"
    return one["state"]


def _where(one: _Shown | _Retrying) -> str:
    return one["function"] + (f" at {one['step']}" if one["step"] is not None else "")


def _told(one: _Shown | _Retrying) -> str:
    text = " ".join(f"{one['name']}: {one['message']}".split())
    return text if len(text) <= _MOST_LINE else text[: _MOST_LINE - 1] + "…"


@errors.command()
@click.option("--function", help="Only of this function, by slug or id.")
@click.option("--app", help="Only of this app, by name.")
@_json_option
@url_option
def retrying(function: str | None, app: str | None, as_json: bool, url: str) -> None:
    """List why runs are tried again: runs, when the next attempt is due, function, step, error."""
    query = {"function": function, "app": app}
    body = call("GET", f"{url}/v1/errors/retrying", params=query)
    if as_json:
        click.echo(json.dumps(body, indent=2))
        return
    found: list[_Retrying] = body["data"]
    if not found:
        click.echo("no run is tried again", err=True)
    for one in found:
        left = f"{one['error_id']}  {_runs(one['runs']):>12}  next at {one['next_attempt_at']}"
        click.echo(f"{left}  {_where(one)}  {_told(one)}")
    if body["has_more"]:
        click.echo("only the newest 500 runs are counted", err=True)


def _on_one(what: Callable[..., None]) -> Callable[..., None]:
    """Add the argument and the options of commands on one error."""
    made: Callable[..., None] = url_option(what)
    return click.argument("error_id", metavar="ERROR")(_json_option(made))


@errors.command()
@_on_one
def show(error_id: str, as_json: bool, url: str) -> None:
    """Show an error with its frames, versions and newest runs."""
    _tell(call("GET", _path(url, error_id)), as_json=as_json)


@errors.command()
@_on_one
@click.option("--for", "length", help="For how long, such as 2h or 7d; left out: for ever.")
@click.option("--until", help="Until when, such as 2027-01-31T12:00:00Z.")
def mute(error_id: str, as_json: bool, url: str, length: str | None, until: str | None) -> None:
    """Put an error out of the way; its runs are counted all the same."""
    if length is not None and until is not None:
        raise click.UsageError("--for and --until cannot be given together")
    if length is not None:
        until = _after(length)
    _change(url, error_id, {"state": "muted", "muted_until": until}, as_json=as_json)


def _after(length: str) -> str:
    try:
        return (datetime.now(UTC) + durations.to_timedelta(length)).isoformat()
    except (Invalid, OverflowError) as error:
        why = error.message if isinstance(error, Invalid) else "it ends after the year 9999"
        raise click.UsageError(f"--for: {why}") from None


@errors.command()
@_on_one
def resolve(error_id: str, as_json: bool, url: str) -> None:
    """Say that an error is mended; it opens again when a run fails that started later."""
    _change(url, error_id, {"state": "resolved"}, as_json=as_json)


@errors.command("open")
@_on_one
def open_(error_id: str, as_json: bool, url: str) -> None:
    """Open an error that is muted or resolved."""
    _change(url, error_id, {"state": "open"}, as_json=as_json)


@errors.command()
@click.argument("error_id", metavar="ERROR")
@rate_option
@dry_run_option
@as_json_option
@follow_option
@url_option
def rerun(
    error_id: str, rate: float | None, dry_run: bool, as_json: bool, follow: bool, url: str
) -> None:
    """Run all runs of an error again that are still failed, in the background."""
    chosen: JsonObject = {"error": error_id}
    begin_operation(url, "rerun", chosen, rate, dry_run=dry_run, as_json=as_json, follow=follow)


def _path(url: str, error_id: str) -> str:
    return f"{url}/v1/errors/{quote(error_id, safe='')}"


def _change(url: str, error_id: str, body: dict[str, str | None], *, as_json: bool) -> None:
    changed = call("PATCH", _path(url, error_id), json=body)
    if as_json:
        click.echo(json.dumps(changed, indent=2))
        return
    one: _Shown = changed["data"]
    until = f" until {one['muted_until']}" if one["muted_until"] is not None else ""
    click.echo(f"{one['id']} is {one['state']}{until}: {_told(one)}")


def _tell(answer: dict[str, _Whole], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    one = answer["data"]
    click.echo(f"{one['name']}: {one['message']}")
    click.echo(f"{_where(one)}, app {one['app']}")
    until = f" until {one['muted_until']}" if one["muted_until"] is not None else ""
    click.echo(f"{_state(one)}{until}{', new since the deploy' * one['is_new_since_deploy']}")
    click.echo(f"{one['runs']} failed, {one['still_failed']} of them not run again")
    click.echo(f"first {one['first_seen']}, last {one['last_seen']}")
    for frame in one["frames"]:
        click.echo(f"  in {frame}")
    for version in one["versions"]:
        parts = [version[name] for name in ("app_version", "sdk", "sync") if version[name]]
        click.echo(f"version {', '.join(parts) or 'unknown'}: {version['runs']} failed")
    for run in one["sample_runs"]:
        click.echo(f"run {run['id']}  {run['status']}  {run['queued_at']}")
