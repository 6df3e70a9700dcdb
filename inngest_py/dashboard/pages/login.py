"""The login page, and the forms that log in and out."""

from flask import Response, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from ...engine.admin import accounts
from ...engine.admin.accounts import TooManyTries, WrongPassword
from ..deps import context
from ..guard import address, local, new_cookie, set_cookie
from ..rendering import page, url
from ..routes import route


@route("/login", None)
def login() -> AnyResponse:
    """Ask for name and password."""
    if g.viewer is not None:
        return redirect(url("home"), 303)
    return _form()


def _form(problem: str | None = None, status: int = 200) -> Response:
    """Make the page. It does not say which of name and password is wrong."""
    return page(
        "login.html",
        status,
        wrong={} if problem is None else {"password": problem},
        known=accounts.any_known(context()),
        name=request.form.get("name", ""),
        next=request.values.get("next", ""),
    )


@route("/login", None, methods=("POST",))
def log_in() -> AnyResponse:
    """Begin a session under a new token: an attacker may have set the old one."""
    fresh = new_cookie()
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        accounts.log_in(context(), name, password, fresh, address())
    except WrongPassword as error:
        return _form(error.message, 401)
    except TooManyTries as error:
        return _form(error.message, 429)
    answered = redirect(local(request.form.get("next", "")), 303)
    return _with_cookie(answered, fresh)


@route("/logout", None, methods=("POST",))
def log_out() -> AnyResponse:
    """End the session."""
    accounts.log_out(context(), g.cookie, address())
    return _with_cookie(redirect(url("login"), 303), new_cookie())


def _with_cookie(answered: AnyResponse, cookie: str) -> AnyResponse:
    g.is_new = False
    set_cookie(answered, cookie)
    return answered
