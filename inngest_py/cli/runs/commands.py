"""`runs`: list and look at runs, through the REST API."""

from urllib.parse import quote

import click

from ...domain.values.json_types import JsonObject
from ..client import as_json_option, call, every_page, print_json, url_option
from .changes import cancel, rerun
from .filters import filters, selection
from .shapes import Run, WholeRun, attempt_line, line_of
from .tail import tail

_PAGE = 500  # the most that one request lists


@click.group()
def runs() -> None:
    """Look at runs; run them again, cancel them, follow them."""


@runs.command("list")
@filters
@click.option("--phase", multiple=True, help="Of runs that have not ended: executing, sleeping …")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@as_json_option
@url_option
def list_(phase: tuple[str, ...], limit: int, as_json: bool, url: str, **given: object) -> None:
    """List runs, newest first."""
    query = selection(given)
    keys = query.pop("keys", None)
    query["phase"] = list(phase)
    if isinstance(keys, dict):
        query |= {f"key.{name}": value for name, value in keys.items()}
    found: list[Run] = every_page(f"{url}/v1/runs", query, limit, _PAGE)
    if as_json:
        print_json(found)
        return
    if not found:
        _check_names(url, query)
        click.echo("no runs", err=True)
    for run in found:
        click.echo(_line(run))


def _check_names(url: str, query: JsonObject) -> None:
    """Refuse the names of a function or an app that does not exist: a list of it is empty."""
    for option, path, fields in (
        ("function", "functions", ("id", "internal_id")),
        ("app", "apps", ("name",)),
    ):
        name = query.get(option)
        if name is None:
            continue
        known = call("GET", f"{url}/api/v1/{path}")["data"]
        if not any(name in [one[field] for field in fields] for one in known):
            told = f"--{option}: there is no {option} {name}: see inngest-py {path} list"
            raise click.ClickException(told)


def _line(run: Run) -> str:
    left = f"{run['id']}  {run['phase'] or run['status']:<10} {run['queued_at']}  {run['function']}"
    return left if run["error"] is None else f"{left}  {line_of(run['error'])}"


@runs.command()
@click.argument("run_id", metavar="RUN")
@as_json_option
@url_option
def show(run_id: str, as_json: bool, url: str) -> None:
    """Show a run: its event, times, error and attempts; with --json all of it."""
    answered = call("GET", f"{url}/api/v1/runs/{quote(run_id, safe='')}")["data"]
    if as_json:
        print_json(answered)
        return
    run: WholeRun = answered
    event = answered["event"]
    click.echo(f"{run['id']}  {run['phase'] or run['status']}  {run['function']}")
    if event is not None:
        click.echo(f"event    {event['name']} {event['internal_id']}")
    for name in ("queued", "started", "ended"):
        if answered[f"{name}_at"] is not None:
            click.echo(f"{name:<8} {answered[f'{name}_at']}")
    if run["error"] is not None:
        click.echo(f"error    {line_of(run['error'])}")
    for attempt in run["attempts"]:
        click.echo(attempt_line(attempt))


@runs.command()
@click.argument("run_id", metavar="RUN")
@as_json_option
@url_option
def why(run_id: str, as_json: bool, url: str) -> None:
    """Say why a run waits, or what ended it."""
    found = call("GET", f"{url}/api/v1/runs/{quote(run_id, safe='')}/why")["data"]
    if as_json:
        print_json(found)
        return
    click.echo(f"{run_id} is {found['phase'] or found['status']}")
    for reason in found["reasons"]:
        click.echo(f"- {reason['text']}")
    if found["has_more"]:
        click.echo("- and more")


@runs.command()
@click.argument("run_id", metavar="RUN")
@click.option("--step", help="Which step, by id or name, if several parts of the run wait.")
@as_json_option
@url_option
def skip(run_id: str, step: str | None, as_json: bool, url: str) -> None:
    """Let a run of a dev server wait no longer: a sleep or a wait ends, a retry begins."""
    body = {} if step is None else {"step": step}
    path = f"{url}/dev/runs/{quote(run_id, safe='')}/skip"
    skipped = call("POST", path, json=body)["data"]
    if as_json:
        print_json(skipped)
        return
    told = f"its {skipped['kind']}, due at {skipped['was_due_at']}, was skipped"
    click.echo(f"{skipped['label']}: {told}")


for _command in (cancel, rerun, tail):
    runs.add_command(_command)
