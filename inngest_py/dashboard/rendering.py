"""Render templates, in an environment of their own in which an undefined name is an error."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Response, g, request, url_for
from jinja2 import Environment, PackageLoader, StrictUndefined

from ..version import __version__
from .deps import deps
from .guard import token
from .parts import charts, sparks, words
from .parts.notices import notice
from .places import here

_STATIC = Path(__file__).parent / "static"
# no script, style or picture from other sites, and no inline ones
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Make the environment of all templates."""
    made = Environment(
        loader=PackageLoader("inngest_py.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    made.filters.update(words.FILTERS)
    made.globals.update(url=url, static=static, version=__version__, bars=charts.bars)
    made.globals.update(spark=sparks.spark, lines=charts.lines, row_bar=charts.row_bar)
    return made


def url(view: str, **values: Any) -> str:
    """Make the URL of a view; values that are None are left out."""
    given = {name: value for name, value in values.items() if value is not None}
    return url_for(f"ui.{view}", **given)


@lru_cache(maxsize=32)
def _digest(name: str) -> str:
    return sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


def static(name: str) -> str:
    """Make the URL of a file; it changes if the file changes."""
    return url_for("ui.static", filename=name, v=_digest(name))


def page(template: str, status: int = 200, **values: object) -> Response:
    """Render a page."""
    shared: dict[str, object] = {
        "viewer": g.get("viewer"),
        "csrf": token(g.cookie) if "cookie" in g else "",
        "dev": deps().settings.dev,
        "now": deps().ctx.now(),
        "here": here(),
        "notice": notice(),
        "problem": None,
        "wrong": {},
        "news": g.get("news"),
    }
    control = deps().clock
    shared["clock"] = None if control is None or shared["viewer"] is None else control.shown()
    text = environment().get_template(template).render({**shared, **values})
    return Response(text, status=status, mimetype="text/html")


def fragment(template: str, macro: str, shown: object) -> Response:
    """Render a macro of a template, which takes what is shown and the token for forms.

    None changes nothing on the page.
    """
    if shown is None:
        return Response(status=204)
    made = environment().get_template(template).module
    return Response(getattr(made, macro)(shown, token(g.cookie)), mimetype="text/html")


def protect(response: Response) -> Response:
    """Set the headers of every page and file."""
    response.headers.update(_HEADERS)
    if request.endpoint == "ui.static":
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
