"""Flask apps that are made faster: what few tests ask of them is made at its first use.

A test of the API or the dashboard makes an app of its own. It builds few URLs, if any, and hardly
one reads the OpenAPI document. The builders of the routes' URLs took two thirds of the 0.1 s that
an app takes, and the document took three quarters of the rest.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from apispec import APISpec
from flask_smorest import Blueprint
from werkzeug.routing import Rule

_compile_builder = Rule._compile_builder
_register_views, _to_dict = Blueprint.register_views_in_doc, APISpec.to_dict
_undocumented: WeakKeyDictionary[APISpec, list[Callable[[], None]]] = WeakKeyDictionary()


def _at_first_use(self: Rule, append_unknown: bool = True) -> Callable[..., Any]:
    compiled: list[Callable[..., Any]] = []

    def build(rule: Rule, *values: Any, **named: Any) -> Any:
        if not compiled:
            compiled.append(_compile_builder(rule, append_unknown))
        return compiled[0](rule, *values, **named)

    return build


def _document_later(self: Blueprint, api: Any, app: Any, spec: APISpec, **named: Any) -> None:
    now = partial(_register_views, self, api, app, spec, **named)
    _undocumented.setdefault(spec, []).append(now)


def _documented(self: APISpec) -> dict[str, Any]:
    for document in _undocumented.pop(self, []):
        document()
    found: dict[str, Any] = _to_dict(self)
    return found


def make_at_first_use() -> None:
    """Change werkzeug and flask_smorest in this process."""
    Rule._compile_builder = _at_first_use  # type: ignore[method-assign]
    Blueprint.register_views_in_doc = _document_later
    APISpec.to_dict = _documented
