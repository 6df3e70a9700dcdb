"""`replay`: the replay check, of one run or of the runs in flight, before a deploy."""

import json
from typing import TypedDict

import click

from ..domain.values.json_types import JsonObject
from .client import call, url_option

_TIMEOUT = 180  # the server begins no check after a minute; one run may take another


class _Finding(TypedDict):
    text: str
    detail: str | None


class _Run(TypedDict):
    id: str
    findings: list[_Finding]
    unseen: str | None
    more: int


class _Group(TypedDict):
    function: str
    text: str
    runs: int
    examples: list[str]


class _LeftOut(TypedDict):
    reason: str
    runs: int


class _Report(TypedDict):
    """What is used of the server's report."""

    summary: str
    changed: int
    groups: list[_Group]
    runs: list[_Run]
    left_out: list[_LeftOut]


class _BadInput(click.ClickException):
    exit_code = 2


@click.command()
@click.argument("run_id", metavar="RUN", required=False)
@click.option("--app", required=True, help="The serve endpoint of the new code.")
@click.option("--function", help="All runs in flight of a function: its slug (app-function) or id.")
@click.option("--all", "all_", is_flag=True, help="All runs in flight of the app's functions.")
@click.option("--most", type=int, default=200, show_default=True, help="Runs to check at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's report as JSON.")
@url_option
def replay(
    run_id: str | None,
    app: str,
    function: str | None,
    all_: bool,
    most: int,
    as_json: bool,
    url: str,
) -> None:
    """Say which steps of runs new code would move, before it is deployed.

    Give a RUN, --function or --all. The server asks the code at --app what it would do with the
    results that the runs have. No step runs, and nothing is stored; code between steps runs. Ends
    with 0 if nothing would move, with 1 if something would or a run could not be checked, and with
    2 for bad input.
    """
    given = {"run": run_id, "function": function, "all": all_ or None}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise click.UsageError("give one of RUN, --function and --all")
    asked: JsonObject = {"app": app, "most": most, **chosen}
    try:
        report: _Report = call("POST", f"{url}/api/v1/replay-check", timeout=_TIMEOUT, json=asked)[
            "data"
        ]
    except click.ClickException as error:
        raise _BadInput(error.message) from None
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print(report, one_run=run_id is not None)
    unsure = report["left_out"] or any(run["unseen"] for run in report["runs"])
    raise SystemExit(1 if report["changed"] or unsure else 0)


def _print(report: _Report, *, one_run: bool) -> None:
    click.echo(report["summary"])
    for run in report["runs"] if one_run else ():
        for finding in run["findings"]:
            click.echo(f"- {': '.join(filter(None, (finding['text'], finding['detail'])))}")
    for group in () if one_run else report["groups"]:
        told = f"{_runs(group['runs'])}, such as {group['examples'][0]}"
        click.echo(f"- {group['function']}: {group['text']} ({told})")
    for run in report["runs"]:
        if run["more"]:
            click.echo(f"- {run['id']}: {run['more']} more changes")
        if run["unseen"]:
            click.echo(f"- {run['id']}: {run['unseen']}")
    for left in report["left_out"]:
        click.echo(f"- not checked: {_runs(left['runs'])}: {left['reason']}")


def _runs(number: int) -> str:
    return f"{number} run{'' if number == 1 else 's'}"
