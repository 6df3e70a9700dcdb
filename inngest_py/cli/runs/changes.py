"""`runs cancel` and `runs rerun`: one run by its id, or many by filters, in the background."""

import json
from collections.abc import Callable, Mapping
from urllib.parse import quote

import click

from ...domain.runs.runs import ENDED
from ...domain.values.json_types import JsonObject
from ..client import as_json_option, call, print_json, url_option
from ..operations.beginning import (
    begin_operation,
    dry_run_option,
    follow_option,
    rate_option,
)
from .filters import filters, selection

_yes_option = click.option("--yes", is_flag=True, help="Do not ask before many are changed.")


def _on_runs(command: Callable[..., None]) -> Callable[..., None]:
    """Add what names runs, and what an operation on many needs."""
    for option in (
        url_option,
        as_json_option,
        _yes_option,
        follow_option,
        dry_run_option,
        rate_option,
        filters,
        click.argument("run_ids", metavar="[RUN]…", nargs=-1),
    ):
        command = option(command)
    return command


@click.command()
@_on_runs
@click.option("--terminate", is_flag=True, help="Kill Celery tasks that run; needs RUN.")
def cancel(
    run_ids: tuple[str, ...],
    terminate: bool,
    rate: float | None,
    dry_run: bool,
    follow: bool,
    yes: bool,
    as_json: bool,
    url: str,
    **given: object,
) -> None:
    """Cancel runs: those with the ids RUN, or all that fulfil the filters.

    With filters it says how many there are, asks, and begins an operation: see `operations`.
    """
    chosen = _chosen(run_ids, given, rate, one_only={"--terminate": terminate})
    if chosen is not None:
        _many(url, "cancel", chosen, rate, dry_run=dry_run, follow=follow, yes=yes, as_json=as_json)
        return
    _refuse_for_ids(dry_run=dry_run, follow=follow)
    query = {"terminate": "true"} if terminate else {}
    found = [call("DELETE", _path(url, run_id), params=query)["data"] for run_id in run_ids]
    if as_json:
        print_json(found)
        return
    for one in found:
        over = one["was"] in [status.value for status in ENDED]
        text = f"had ended already: {one['was']}" if over else f"is cancelled, it was {one['was']}"
        click.echo(f"{one['id']} {text}")


@click.command()
@_on_runs
@click.option("--step", help="From this step on, by its id; needs one RUN.")
@click.option("--input", "given_input", help="New input of the step: a JSON array.")
def rerun(
    run_ids: tuple[str, ...],
    step: str | None,
    given_input: str | None,
    rate: float | None,
    dry_run: bool,
    follow: bool,
    yes: bool,
    as_json: bool,
    url: str,
    **given: object,
) -> None:
    """Run runs again: those with the ids RUN, or all that fulfil the filters.

    With filters it says how many there are, asks, and begins an operation: see `operations`.
    """
    one_only = {"--step": step, "--input": given_input}
    chosen = _chosen(run_ids, given, rate, one_only=one_only)
    if chosen is not None:
        _many(url, "rerun", chosen, rate, dry_run=dry_run, follow=follow, yes=yes, as_json=as_json)
        return
    _refuse_for_ids(dry_run=dry_run, follow=follow)
    body = _from_step(run_ids, step, given_input)
    made = []
    for run_id in run_ids:
        path = f"{url}/v2/runs/{quote(run_id, safe='')}/rerun"
        made.append({"id": run_id, "run_id": call("POST", path, json=body)["data"]["runId"]})
    if as_json:
        print_json(made)
        return
    for one in made:
        click.echo(f"{one['id']} runs again as {one['run_id']}")


def _from_step(run_ids: tuple[str, ...], step: str | None, given_input: str | None) -> JsonObject:
    """Make the body of a rerun from a step; an empty one runs it from the start."""
    if step is None:
        if given_input is not None:
            raise click.UsageError("--input needs --step")
        return {}
    if len(run_ids) != 1:
        raise click.UsageError("--step is for one RUN")
    from_step: JsonObject = {"stepId": step}
    if given_input is not None:
        try:
            from_step["input"] = json.loads(given_input)
        except ValueError as error:
            raise click.UsageError(f"--input is not JSON: {error}") from None
    return {"fromStep": from_step}


def _path(url: str, run_id: str) -> str:
    return f"{url}/api/v1/runs/{quote(run_id, safe='')}"


def _chosen(
    run_ids: tuple[str, ...],
    given: dict[str, object],
    rate: float | None,
    *,
    one_only: Mapping[str, object],
) -> JsonObject | None:
    """Return the filters, or None if runs are named by id. Raises UsageError."""
    chosen = selection(given)
    if run_ids and (chosen or rate is not None):
        raise click.UsageError("give ids of runs or filters, not both; --rate is for filters")
    if not run_ids and not chosen:
        raise click.UsageError("give the id of a RUN, or filters such as --function or --status")
    named = [name for name, value in one_only.items() if value]
    if chosen and named:
        raise click.UsageError(f"{named[0]} needs the id of a RUN")
    return chosen or None


def _refuse_for_ids(*, dry_run: bool, follow: bool) -> None:
    for name, value in (("--dry-run", dry_run), ("--follow", follow)):
        if value:
            raise click.UsageError(f"{name} is for filters")


def _many(
    url: str,
    kind: str,
    chosen: JsonObject,
    rate: float | None,
    *,
    dry_run: bool,
    follow: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Say how many runs there are, ask, and begin an operation on them."""
    if not dry_run:
        asked = {"kind": kind, "selection": chosen, "dry_run": True}
        counted = call("POST", f"{url}/v1/operations", json=asked)["data"]
        click.echo(counted["name"], err=True)
        if counted["total"] == 0 and counted["total_exact"]:
            if as_json:
                print_json(None)
            return
        if not yes:
            _ask()
    begin_operation(url, kind, chosen, rate, dry_run=dry_run, as_json=as_json, follow=follow)


def _ask() -> None:
    try:
        wanted = click.confirm("Continue?", err=True)
    except click.Abort:  # there is nobody to answer
        raise click.ClickException("nothing was changed: give --yes to go on unasked") from None
    if not wanted:
        raise click.ClickException("nothing was changed")
