"""`clock`: read and move the virtual clock of a dev server."""

import time
from datetime import timedelta
from typing import TypedDict

import click

from ..domain.values.times import parse_time
from .client import call, url_option

_LOOK_SECONDS = 0.5
_TELL_SECONDS = 5.0  # a year with a cron that ticks each minute takes hours


class _Clock(TypedDict):
    now: str
    real: str
    frozen: bool
    next_at: str | None
    moving_to: str | None
    waits_for: str | None
    moments: int
    error: str | None


_yes = click.option("--yes", is_flag=True, help="Move it further than a year.")


@click.group()
def clock() -> None:
    """Move the time of a dev server that was started with --clock virtual."""


@clock.command()
@url_option
def show(url: str) -> None:
    """Say where the clock is, and when the next thing is due."""
    _tell(call("GET", f"{url}/dev/clock")["data"])


# so that -3d is read as a duration, which is then refused
@clock.command(context_settings={"ignore_unknown_options": True})
@click.argument("duration")
@_yes
@url_option
def advance(duration: str, yes: bool, url: str) -> None:
    """Move the clock by a DURATION, such as 90s, 1h30m or 3d."""
    _move(url, {"advance": duration, "yes": yes})


@clock.command()
@click.argument("moment", metavar="TIME")
@_yes
@url_option
def to(moment: str, yes: bool, url: str) -> None:
    """Move the clock to a TIME, such as 2027-01-01T00:00Z."""
    _move(url, {"to": moment, "yes": yes})


@clock.command("next")
@_yes
@url_option
def next_(yes: bool, url: str) -> None:
    """Move the clock to the moment at which something is due next."""
    _move(url, {"next": True, "yes": yes})


@clock.command()
@url_option
def freeze(url: str) -> None:
    """Stop the clock; also while it moves."""
    _tell(call("POST", f"{url}/dev/clock", json={"freeze": True})["data"])


@clock.command()
@url_option
def resume(url: str) -> None:
    """Let the clock run on from where it is."""
    _tell(call("POST", f"{url}/dev/clock", json={"resume": True})["data"])


def _move(url: str, command: dict[str, object]) -> None:
    shown: _Clock = call("POST", f"{url}/dev/clock", json=command)["data"]
    target = shown["moving_to"]
    if target is not None:
        try:
            shown = _followed(url, shown, target)
        except KeyboardInterrupt:
            raise click.ClickException(
                f"the clock moves on to {target}: `inngest-py clock freeze` stops it where it is"
            ) from None
        if parse_time(shown["now"]) < parse_time(target):
            problem = shown["error"] or "the move was stopped before that"
            raise click.ClickException(f"{problem} (the clock is at {shown['now']}, not {target})")
    if shown["error"] is not None:
        raise click.ClickException(f"{shown['error']} (the clock is at {shown['now']})")
    moments = shown["moments"]
    click.echo(f"at {moments} moment{'' if moments == 1 else 's'} something was due", err=True)
    _tell(shown)


def _followed(url: str, shown: _Clock, target: str) -> _Clock:
    """Say how far a move is until it ends; return the clock as it is then."""
    began_at, began = parse_time(shown["now"]), time.monotonic()
    told_at = -_TELL_SECONDS
    while shown["moving_to"] is not None:
        waited = time.monotonic() - began
        if waited - told_at >= _TELL_SECONDS:
            waits = f", waits for {shown['waits_for']}" if shown["waits_for"] else ""
            now = parse_time(shown["now"])
            left = _left(now - began_at, parse_time(target) - now, waited)
            click.echo(f"at {shown['now']} of {target}{left}{waits}", err=True)
            told_at = waited
        time.sleep(_LOOK_SECONDS)
        shown = call("GET", f"{url}/dev/clock")["data"]
    return shown


def _left(done: timedelta, rest: timedelta, seconds: float) -> str:
    """Say how long a move may still take, if so much of it took this many seconds."""
    if seconds < _TELL_SECONDS or not done:
        return ""
    minutes = round(seconds * (rest / done) / 60)
    hours, minutes = divmod(minutes, 60)
    return f", about {f'{hours} h ' if hours else ''}{minutes} min left" if hours + minutes else ""


def _tell(shown: _Clock) -> None:
    click.echo(shown["now"])
    notes = ["it stands still"] if shown["frozen"] else []
    notes.append(f"next due at {shown['next_at']}" if shown["next_at"] else "nothing is due later")
    click.echo("; ".join(notes), err=True)
