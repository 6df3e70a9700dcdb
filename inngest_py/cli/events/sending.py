"""`send`: send one event, or all of a file."""

import json
from collections.abc import Iterator
from typing import IO

import click

from ...domain.errors import Invalid
from ...domain.values import canonical
from ...domain.values.json_types import JsonObject
from ..client import Refused, as_json_option, call, print_json, url_option

# of one request: the server takes more
_MOST_EVENTS, _MOST_BYTES = 500, 2_000_000


@click.command()
@click.argument("name", required=False)
@click.option("--data", help="The event's data, a JSON object.")
@click.option("--id", "event_id", help="An idempotency id.")
@click.option(
    "--file",
    type=click.File("rb"),
    help="Send the events of a file, - for standard input: an object, an array, or one a line.",
)
@as_json_option
@url_option
def send(
    name: str | None,
    data: str | None,
    event_id: str | None,
    file: IO[bytes] | None,
    as_json: bool,
    url: str,
) -> None:
    """Send an event with a NAME, or the events of a file; prints their ids."""
    if (name is None) == (file is None):
        raise click.UsageError("give the NAME of an event, or --file")
    if file is not None and (data is not None or event_id is not None):
        raise click.UsageError("--data and --id are for one event: write them into the file")
    events = [_event(name or "", data, event_id)] if file is None else read(file.read())
    sent: list[str] = []
    for part in _parts(events):
        try:
            body = part if file is not None else part[0]
            sent += call("POST", f"{url}/api/v1/events", json=body)["data"]["ids"]
        except Refused as error:
            if file is None:
                raise
            raise _stopped(error, sent) from None
    if as_json:
        print_json(sent)
        return
    for one in sent:
        click.echo(one)


def _stopped(error: Refused, sent: list[str]) -> click.ClickException:
    """Say which event of a file was refused; those before it were sent."""
    taken = error.data.get("ids") if isinstance(error.data, dict) else None
    number = len(sent) + len(taken or ())
    return click.ClickException(
        f"event {number + 1} of the file: {error.message}; the {number} before it were sent"
    )


def _parts(events: list[JsonObject]) -> Iterator[list[JsonObject]]:
    """Divide events into requests that the server takes, whatever their size."""
    part: list[JsonObject] = []
    size = 0
    for event in events:
        length = len(json.dumps(event))
        if part and (len(part) == _MOST_EVENTS or size + length > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part


def _event(name: str, data: str | None, event_id: str | None) -> JsonObject:
    try:
        parsed = json.loads("{}" if data is None else data)
    except ValueError as error:
        raise click.UsageError(f"--data is not JSON: {error}") from None
    return {"name": name, "data": parsed} | ({"id": event_id} if event_id else {})


def read(content: bytes) -> list[JsonObject]:
    """Read events: a JSON object, an array of objects, or an object a line. Raises UsageError."""
    try:
        found = canonical.loads(content)
    except Invalid as error:
        lines = [(number, line) for number, line in _lines(content) if line.strip()]
        if len(lines) < 2:
            raise click.UsageError(f"--file {canonical.told(error)}") from None
        found = [_line(number, line) for number, line in lines]
    events: list[JsonObject] = found if isinstance(found, list) else [found]
    for number, event in enumerate(events, start=1):
        if not isinstance(event, dict):
            raise click.UsageError(f"event {number} of the file must be a JSON object")
    if not events:
        raise click.UsageError("--file holds no event")
    return events


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    return enumerate(content.split(b"\n"), start=1)


def _line(number: int, line: bytes) -> object:
    try:
        return canonical.loads(line)
    except Invalid as error:
        raise click.UsageError(f"line {number} of --file {canonical.told(error)}") from None
