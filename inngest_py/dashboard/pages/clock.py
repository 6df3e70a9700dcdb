"""The forms of the bar that moves a virtual clock."""

from flask import redirect, request
from werkzeug.wrappers import Response as AnyResponse

from ...domain.access.roles import Role
from ...domain.errors import Conflict, Invalid, NotFound
from ...domain.values import durations, times
from ...engine.clock.moves import UNCONFIRMED
from ..deps import deps
from ..guard import local
from ..parts.clock_bar import ClockControl, Refusal
from ..rendering import fragment, url
from ..routes import route

# how long the answer to a form waits for the end of a move; a longer one goes on, and is shown
_WAIT_SECONDS = 1.5
_COMMANDS = ("do", "by", "to")
_MOST_CHARS = 128


def _control() -> ClockControl:
    found = deps().clock
    if found is None:
        raise NotFound("this server has no virtual clock: `inngest-py dev --clock virtual` has one")
    return found


@route("/clock", Role.VIEWER)
def clock() -> AnyResponse:
    """Show the state of the clock alone, for pages that are open; people are led to a page."""
    control = _control()
    if "HX-Request" not in request.headers:
        return redirect(url("home"), 303)
    return fragment("clock.html", "state", control.shown())


@route("/clock", Role.OPERATOR, methods=("POST",))
def move_clock() -> AnyResponse:
    """Move, freeze or resume the clock, and lead back to the page where the form was."""
    control = _control()
    refusal = _refusal(control)
    if refusal is None:
        control.mover.wait(_WAIT_SECONDS)
    deps().pulse.send_news()
    if "HX-Request" in request.headers:  # the page stays, and so does its place
        return fragment("clock.html", "bar", control.shown(refusal))
    if refusal is not None:
        control.keep(refusal)
    return redirect(_back(), 303)


def _refusal(control: ClockControl) -> Refusal | None:
    """Do what the form asks for; say why not, if it is refused."""
    given = {name: request.form.get(name, "").strip() for name in _COMMANDS}
    command = {name: value[:_MOST_CHARS] for name, value in given.items() if value}
    try:
        _act(control, command)
    except Conflict as error:
        return Refusal(error.message, command)
    except Invalid as error:
        if error.code == UNCONFIRMED:
            return Refusal(error.message.partition(":")[0], command, is_far=True)
        return Refusal(error.message, command)
    return None


def _act(control: ClockControl, command: dict[str, str]) -> None:
    mover, confirmed = control.mover, bool(request.form.get("yes"))
    match command:
        case {"do": "next"}:
            mover.to_next(confirmed=confirmed)
        case {"do": "freeze"}:
            mover.freeze()
        case {"do": "resume"}:
            mover.resume()
        case {"by": duration}:
            mover.advance(durations.to_timedelta(duration), confirmed=confirmed)
        case {"to": typed}:
            _move(control, typed, confirmed=confirmed)
        case _:
            raise Invalid("type a duration such as 3d, or a time such as 2027-01-01T09:00Z")


def _move(control: ClockControl, typed: str, *, confirmed: bool) -> None:
    """Move by a duration, or to a time."""
    try:
        by = durations.to_timedelta(typed)
    except Invalid:
        try:
            to = times.parse_time(typed)
        except Invalid:
            raise Invalid(
                f"{typed!r} is neither a duration such as 3d nor a time such as 2027-01-01T09:00Z"
            ) from None
        control.mover.move(to, confirmed=confirmed)
    else:
        control.mover.advance(by, confirmed=confirmed)


def _back() -> str:
    """Return the page where the form was."""
    return local(request.form.get("back", ""))
