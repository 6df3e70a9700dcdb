"""`operations` and `replay-events`: rerun or cancel many runs, replay events, follow progress."""

import click

from ...domain.values.json_types import JsonObject
from ..client import as_json_option, call, print_json, url_option
from ..completion import names
from ..runs.filters import filters, moment, selection, until_option
from .beginning import (
    Operation,
    begin_operation,
    dry_run_option,
    follow_option,
    followed,
    progress,
    rate_option,
)


@click.group()
def operations() -> None:
    """Rerun or cancel many runs in the background, and watch it."""


@operations.command()
@click.argument("kind", type=click.Choice(["rerun", "cancel"]))
@filters
@rate_option
@dry_run_option
@as_json_option
@follow_option
@url_option
def begin(
    kind: str,
    rate: float | None,
    dry_run: bool,
    as_json: bool,
    follow: bool,
    url: str,
    **given: object,
) -> None:
    """Rerun or cancel all runs that fulfil the filters."""
    chosen = selection(given)
    begin_operation(url, kind, chosen, rate, dry_run=dry_run, as_json=as_json, follow=follow)


@click.command("replay-events")
@click.argument("function", shell_complete=names.functions)
@click.option(
    "--since", required=True, help="From this time on: 2026-11-30T02:14Z, or 2h for 2 h ago."
)
@until_option
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
    chosen: JsonObject = {"function": function, "since": moment(since)}
    chosen |= {"until": moment(until)} if until else {}
    chosen |= {"events": list(events)} if events else {}
    begin_operation(
        url, "replay_events", chosen, rate, dry_run=dry_run, as_json=as_json, follow=follow
    )


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
        print_json(found)
        return
    if not found:
        click.echo("no operations", err=True)
    for one in found:
        click.echo(f"{one['id']}  {one['state']:<9}  {progress(one)}  {one['name']}")


@operations.command()
@click.argument("operation_id", metavar="ID")
@as_json_option
@follow_option
@url_option
def show(operation_id: str, as_json: bool, follow: bool, url: str) -> None:
    """Show an operation: how far it is, and what became of the runs that it made."""
    if follow:
        found = followed(url, operation_id, quiet=as_json)
    else:
        found = call("GET", f"{url}/v1/operations/{operation_id}")["data"]
    _tell(found, as_json)


def _tell(one: Operation, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    click.echo(f"{one['name']} ({one['state']})")
    click.echo(f"{progress(one)}: {one['succeeded']:,} succeeded, ", nl=False)
    click.echo(f"{one['skipped']:,} skipped, {one['failed']:,} failed")
    if one["runs"]:
        counts = ", ".join(f"{number:,} {status}" for status, number in one["runs"].items())
        click.echo(f"new runs: {counts}")
    for found in one["reasons"]:
        click.echo(f"- {found['number']} {found['outcome']}: {found['reason']}")
    for text in (one["note"], one["reason"]):
        if text:
            click.echo(text)


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
        print_json(found["data"])
        return
    for one in found["data"]:
        made = f"-> {one['run_id']} {one['status'] or 'deleted'}" if one["run_id"] else ""
        click.echo(f"{one['id']} {one['outcome']} {made}{one['reason'] or ''}".rstrip())
    if found["has_more"]:
        click.echo("and more: give --limit", err=True)


def _change(operation_id: str, url: str, body: dict[str, object], *, as_json: bool) -> None:
    found = call("PATCH", f"{url}/v1/operations/{operation_id}", json=body)["data"]
    if as_json:
        print_json(found)
        return
    speed = "no limit" if found["rate"] is None else f"{found['rate']:g} a second"
    click.echo(f"{operation_id} is {found['state']}, at {progress(found)}, {speed}")


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
