"""The pages of users, for admins: add and remove users, change roles, set passwords.

A password that the server makes is on the page that answers its form, and nowhere else.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flask import Response, g, request
from werkzeug.wrappers import Response as AnyResponse

from ....domain.access.roles import Role
from ....domain.errors import Conflict, Invalid
from ....engine.admin import accounts
from ...deps import context, deps
from ...parts.notices import leave
from ...rendering import page, url
from ...routes import route
from ..audit import actor

_MAY = {
    Role.VIEWER: "sees everything but the audit log",
    Role.OPERATOR: "also changes runs, functions and apps, and sends events",
    Role.ADMIN: "also connects Celery apps, and looks after users, API tokens and receivers",
}


class Made(NamedTuple):
    """A password that the server has made, for the page that shows it once."""

    name: str
    password: str


@route("/users", Role.ADMIN)
def users() -> Response:
    """List the users."""
    return _list()


def _list(
    made: Made | None = None, status: int = 200, *, wrong: Mapping[str, str] | None = None
) -> Response:
    """Make the list; `wrong` says by field what was wrong with the form that adds a user."""
    return page(
        "users.html",
        status,
        users=accounts.every(context().db),
        roles=_MAY,
        made=made,
        given=request.form if wrong is not None else {},
        wrong=wrong or {},
        proxy_header=deps().settings.ui_proxy_header,
        proxy_role=deps().settings.ui_proxy_role,
    )


@route("/users", Role.ADMIN, methods=("POST",))
def user_add() -> AnyResponse:
    """Add a user; without a password the server makes one."""
    name, given = request.form.get("name", "").strip(), request.form.get("password", "")
    password = given or accounts.make_password()
    try:
        role = _role(request.form.get("role", ""))
        accounts.add(context().db, name, password, role, context().now(), actor())
    except Invalid as error:
        return _list(None, 400, wrong={error.field or "name": error.message})
    except Conflict as error:
        return _list(None, 409, wrong={"name": error.message})
    return leave(url("users"), "user-added") if given else _list(Made(name, password))


def _role(given: str) -> Role:
    if given not in set(Role):
        raise Invalid(f"role must be one of {', '.join(Role)}", field="role")
    return Role(given)


@route("/users/edit", Role.ADMIN)
def user() -> Response:
    """Show a user, with the forms that change it."""
    return _show(request.args.get("name", ""))


def _show(
    name: str,
    made: Made | None = None,
    status: int = 200,
    *,
    problem: str | None = None,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    return page(
        "user.html",
        status,
        one=accounts.get(context().db, name),
        roles=_MAY,
        made=made,
        problem=problem,
        wrong=wrong or {},
        is_viewer=name == g.viewer.name,
        proxy_header=deps().settings.ui_proxy_header,
    )


@route("/users/role", Role.ADMIN, methods=("POST",))
def user_role() -> AnyResponse:
    """Change a user's role."""
    name = request.form.get("name", "")
    try:
        role = _role(request.form.get("role", ""))
        accounts.change_role(context().db, name, role, context().now(), actor())
    except Invalid as error:
        return _show(name, status=400, wrong={"role": error.message})
    except Conflict as error:
        return _show(name, status=409, wrong={"role": error.message})
    return leave(url("users"), "user-role")


@route("/users/password", Role.ADMIN, methods=("POST",))
def user_password() -> AnyResponse:
    """Set a user's password, or have one made; it ends the user's logins."""
    name, given = request.form.get("name", ""), request.form.get("password", "")
    password = given or accounts.make_password()
    try:
        accounts.change_password(context().db, name, password, context().now(), actor())
    except Invalid as error:
        return _show(name, status=400, wrong={"password": error.message})
    return leave(url("users"), "user-password") if given else _show(name, Made(name, password))


@route("/users/remove", Role.ADMIN, methods=("POST",))
def user_remove() -> AnyResponse:
    """Remove a user."""
    name = request.form.get("name", "")
    try:
        accounts.remove(context().db, name, context().now(), actor())
    except Conflict as error:
        return _show(name, status=409, problem=error.message)
    return leave(url("users"), "user-removed")
