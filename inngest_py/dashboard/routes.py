"""The blueprint of all pages, and the role that each route needs.

A route without an entry in ROLES needs the role admin, so no route is left open by mistake.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flask import Blueprint

from ..domain.access.roles import Role

View = TypeVar("View", bound=Callable[..., Any])
NAME = "ui"
blueprint = Blueprint(NAME, __name__, static_folder="static", static_url_path="/ui/static")
# None: for everybody, logged in or not
ROLES: dict[str, Role | None] = {f"{NAME}.static": None}


def route(
    rule: str, role: Role | None, methods: Sequence[str] = ("GET",)
) -> Callable[[View], View]:
    """Register a view with the role that it needs."""

    def add(view: View) -> View:
        endpoint = view.__name__
        ROLES[f"{NAME}.{endpoint}"] = role
        blueprint.add_url_rule(rule, endpoint, view, methods=list(methods))
        return view

    return add
