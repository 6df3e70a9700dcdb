"""What commands that begin an operation share: their options, and how they show it."""

import time
from typing import TypedDict

import click

from ...domain.operations.operations import OPEN
from ...domain.values.json_types import JsonObject
from ..client import call, print_json

_LOOK_SECONDS = 1.0


class Operation(TypedDict):
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


follow_option = click.option("--follow", is_flag=True, help="Show its progress until it has ended.")
rate_option = click.option(
    "--rate", type=float, help="Items a second; without it there is no limit."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say how much there is.")


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
    asked = {"kind": kind, "selection": selection, "rate": rate, "dry_run": dry_run}
    found = call("POST", f"{url}/v1/operations", json=asked)["data"]
    if follow and not dry_run:
        found = followed(url, found["id"], quiet=as_json)
    if as_json:
        print_json(found)
    elif dry_run:
        click.echo(found["name"])
        for slug, number in sorted(found["functions"].items()):
            click.echo(f"  {number:>9,}  {slug}")
        if found["note"]:
            click.echo(found["note"])
    elif not follow:
        click.echo(f"{found['id']}  {found['name']}")


def progress(one: Operation) -> str:
    """Write how much of an operation is done."""
    total = f"{one['total']:,}" if one["total_exact"] else f"more than {one['total']:,}"
    return f"{one['done']:,} of {total}"


def followed(url: str, operation_id: str, *, quiet: bool) -> Operation:
    """Wait until an operation has ended, and show each change."""
    told = ""
    while True:
        found: Operation = call("GET", f"{url}/v1/operations/{operation_id}")["data"]
        line = f"{progress(found)}, {found['state']}"
        if line != told and not quiet:
            click.echo(line)
        told = line
        if found["state"] not in OPEN:
            return found
        time.sleep(_LOOK_SECONDS)
