"""`operations` and `replay-events`: rerun or cancel many runs, replay events, follow progress."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypedDict

import click

from ...domain.errors import Invalid
from ...domain.operations.operations import OPEN
from ...domain.values import durations
from ...domain.values.json_types import JsonObject
from ..client import call, pairs, url_option

_LOOK_SECONDS = 1.0


class _Operation(TypedDict):
    """What is used of the server's answer."""

    id: str
    name: str
    state: str
    rate: float | None
    reason: str | None
    note: str | None
    total: int
    total_exact: bool
    done: int
    succeeded: int
    skipped: int
    failed: int
    created_at: str
    runs: dict[str, int]
    reasons: list[dict[str, str | int]]


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
follow_option = click.option("--follow", is_flag=True, help="Show its progress until it has ended.")
rate_option = click.option(
    "--rate", type=float, help="Items a second; without it there is no limit."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say how much there is.")
_since = click.option("--since", help="From this time on: 2026-11-30T02:14Z, or 2h ago: 2h.")
_until = click.option("--until", help="Before this time, in the same forms.")


@click.group()
def operations() -> None:
    """Rerun or cancel many runs in the background, and watch it."""


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--status", multiple=True, help="A status, or a phase such as sleeping."),
        click.option("--function", help="A slug or an id."),
        click.option("--app", help="An app's name."),
        _since,
        _until,
        click.option("--event", help="A name, or shop/*."),
        click.option("--text", help="The run, its event, output or errors contain it."),
        click.option("--cel", help="An expression over event, output and error."),
        click.option("--error", help="The id of an error: its runs that are still failed."),
        click.option("--key", multiple=True, help="A search key: order_id=A-1001."),
        rate_option,
        dry_run_option,
        as_json_option,
        follow_option,
        url_option,
    ):
        command = option(command)
    return command


@operations.command()
@click.argument("kind", type=click.Choice(["rerun", "cancel"]))
@_filters
def begin(
    kind: str,
    rate: float | None,
    dry_run: bool,
    as_json: bool,
    follow: bool,
    url: str,
    status: tuple[str, ...],
    key: tuple[str, ...],
    **given: str | None,
) -> None:
    """Rerun or cancel all runs that fulfil the filters."""
    selection: JsonObject = {name: value for name, value in given.items() if value}
    selection |= {"status": list(status)} if status else {}
    selection |= {"keys": pairs(key)} if key else {}
    begin_operation(url, kind, selection, rate, dry_run=dry_run, as_json=as_json, follow=follow)


@click.command("replay-events")
@click.argument("function")
@click.option(
    "--since", required=True, help="From this time on: 2026-11-30T02:14Z, or 2h for 2 h ago."
)
@_until
@click.option("--event", "events", multiple=True, help="Only events of this name, or shop/*.")
@rate_option
@dry_run_option
@as_json_option
@follow_option
@url_option
def replay_events(
    function: str,
    since: str,
    until: str | None,
    events: tuple[str, ...],
    rate: float | None,
    dry_run: bool,
    as_json: bool,
    follow: bool,
    url: str,
) -> None:
    """Start runs of a FUNCTION, by slug or id, for stored events of a time span.

    The function need not have existed then. Each event that its triggers let through starts one
    run. (`replay` is another thing: it checks new code before a deploy.)
    """
    selection: JsonObject = {"function": function, "since": since, "until": until}
    selection |= {"events": list(events)} if events else {}
    selection = {name: value for name, value in selection.items() if value}
    begin_operation(
        url, "replay_events", selection, rate, dry_run=dry_run, as_json=as_json, follow=follow
    )


def begin_operation(
    url: str,
    kind: str,
    selection: JsonObject,
    rate: float | None,
    *,
    dry_run: bool,
    as_json: bool,
    follow: bool,
) -> None:
    """Begin an operation, or say what it would do; `follow` shows its progress to the end."""
    for name in ("since", "until"):
        if name in selection:
            selection[name] = _moment(str(selection[name]))
    asked = {"kind": kind, "selection": selection, "rate": rate, "dry_run": dry_run}
    found = call("POST", f"{url}/v1/operations", json=asked)["data"]
    if follow and not dry_run:
        found = _followed(url, found["id"], quiet=as_json)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif dry_run:
        click.echo(found["name"])
        for slug, number in sorted(found["functions"].items()):
            click.echo(f"  {number:>9,}  {slug}")
        if found["note"]:
            click.echo(found["note"])
    elif not follow:
        click.echo(f"{found['id']}  {found['name']}")


def _moment(text: str) -> str:
    """Read a time, or a duration that ends now; the server checks a time."""
    try:
        return (datetime.now(UTC) - durations.to_timedelta(text)).isoformat()
    except Invalid:
        return text


@operations.command("list")
@click.option("--state", multiple=True)
@click.option("--limit", default=20, show_default=True)
@as_json_option
@url_option
def list_(state: tuple[str, ...], limit: int, as_json: bool, url: str) -> None:
    """List operations, newest first."""
    query = {"state": list(state), "limit": limit}
    found = call("GET", f"{url}/v1/operations", params=query)["data"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no operations", err=True)
    for one in found:
        click.echo(f"{one['id']}  {one['state']:<9}  {_progress(one)}  {one['name']}")


def _progress(one: _Operation) -> str:
    total = f"{one['total']:,}" if one["total_exact"] else f"more than {one['total']:,}"
    return f"{one['done']:,} of {total}"


@operations.command()
@click.argument("operation_id", metavar="ID")
@as_json_option
@follow_option
@url_option
def show(operation_id: str, as_json: bool, follow: bool, url: str) -> None:
    """Show an operation: how far it is, and what became of the runs that it made."""
    if follow:
        found = _followed(url, operation_id, quiet=as_json)
    else:
        found = call("GET", f"{url}/v1/operations/{operation_id}")["data"]
    _tell(found, as_json)


def _tell(one: _Operation, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(one, indent=2))
        return
    click.echo(f"{one['name']} ({one['state']})")
    click.echo(f"{_progress(one)}: {one['succeeded']:,} succeeded, ", nl=False)
    click.echo(f"{one['skipped']:,} skipped, {one['failed']:,} failed")
    if one["runs"]:
        counts = ", ".join(f"{number:,} {status}" for status, number in one["runs"].items())
        click.echo(f"new runs: {counts}")
    for found in one["reasons"]:
        click.echo(f"- {found['number']} {found['outcome']}: {found['reason']}")
    for text in (one["note"], one["reason"]):
        if text:
            click.echo(text)


def _followed(url: str, operation_id: str, *, quiet: bool) -> _Operation:
    """Wait until an operation has ended, and show each change."""
    told = ""
    while True:
        found: _Operation = call("GET", f"{url}/v1/operations/{operation_id}")["data"]
        line = f"{_progress(found)}, {found['state']}"
        if line != told and not quiet:
            click.echo(line)
        told = line
        if found["state"] not in OPEN:
            return found
        time.sleep(_LOOK_SECONDS)


@operations.command()
@click.argument("operation_id", metavar="ID")
@click.option("--outcome", type=click.Choice(["succeeded", "skipped", "failed"]))
@click.option("--status", help="Of the new runs.")
@click.option("--limit", default=50, show_default=True)
@as_json_option
@url_option
def results(
    operation_id: str, outcome: str | None, status: str | None, limit: int, as_json: bool, url: str
) -> None:
    """List each run or event of an operation, with the run that was made of it."""
    query = {"outcome": outcome, "status": status, "limit": limit}
    found = call("GET", f"{url}/v1/operations/{operation_id}/results", params=query)
    if as_json:
        click.echo(json.dumps(found["data"], indent=2))
        return
    for one in found["data"]:
        made = f"-> {one['run_id']} {one['status'] or 'deleted'}" if one["run_id"] else ""
        click.echo(f"{one['id']} {one['outcome']} {made}{one['reason'] or ''}".rstrip())
    if found["has_more"]:
        click.echo("and more: give --limit", err=True)


def _change(operation_id: str, url: str, body: dict[str, object], *, as_json: bool) -> None:
    found = call("PATCH", f"{url}/v1/operations/{operation_id}", json=body)["data"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    speed = "no limit" if found["rate"] is None else f"{found['rate']:g} a second"
    click.echo(f"{operation_id} is {found['state']}, at {_progress(found)}, {speed}")


def _changing(name: str, state: str, text: str) -> None:
    @operations.command(name, help=text)
    @click.argument("operation_id", metavar="ID")
    @as_json_option
    @url_option
    def command(operation_id: str, as_json: bool, url: str) -> None:
        _change(operation_id, url, {"state": state}, as_json=as_json)


_changing("pause", "paused", "Let an operation wait; what it has done stays.")
_changing("resume", "running", "Let a paused operation continue.")
_changing("cancel", "cancelled", "End an operation; what it has done stays.")


@operations.command()
@click.argument("operation_id", metavar="ID")
@click.argument("rate", metavar="RATE")
@as_json_option
@url_option
def rate(operation_id: str, rate: str, as_json: bool, url: str) -> None:
    """Set how many items an operation does in a second; `none` lifts the limit."""
    try:
        wanted = None if rate == "none" else float(rate)
    except ValueError:
        raise click.UsageError("RATE must be a number of items a second, or none") from None
    _change(operation_id, url, {"rate": wanted}, as_json=as_json)
