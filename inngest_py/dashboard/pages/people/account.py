"""The page of the viewer's own account: name, role and password."""

from collections.abc import Mapping

from flask import Response, g, request
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.roles import Role
from ....domain.errors import Invalid
from ....engine.admin import accounts
from ....engine.admin.accounts import TooManyTries, WrongPassword
from ...deps import context, deps
from ...guard import address, new_cookie, set_cookie
from ...parts.notices import leave
from ...rendering import page, url
from ...routes import route


@route("/account", Role.VIEWER)
def account() -> Response:
    """Show who the viewer is, and the form that changes the password."""
    return _show()


def _show(wrong: Mapping[str, str] | None = None, status: int = 200) -> Response:
    return page(
        "account.html",
        status,
        wrong=wrong or {},
        has_password=not (g.viewer.by_proxy or deps().settings.dev),
    )


@route("/account", Role.VIEWER, methods=("POST",))
def account_password() -> AnyResponse:
    """Change the own password: the viewer stays logged in here alone, under a new token."""
    old, new = request.form.get("old", ""), request.form.get("password", "")
    if g.viewer.by_proxy or deps().settings.dev:
        raise Invalid("this login has no password here")
    if new != request.form.get("again", ""):
        return _show({"again": "this is not the new password: type it again"}, 400)
    fresh = new_cookie()
    try:
        accounts.change_own_password(context(), g.viewer.name, old, new, fresh, address())
    except Invalid as error:
        return _show({"password": error.message}, 400)
    except WrongPassword:
        return _show({"old": "this is not the present password"}, 400)
    except TooManyTries as error:
        return _show({"old": error.message}, 429)
    answered = leave(url("account"), "own-password")
    set_cookie(answered, fresh)
    return answered
