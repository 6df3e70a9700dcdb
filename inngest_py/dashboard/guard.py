"""Check who looks at a page, and whether a form is from one of our pages.

Every browser has a cookie with a random token. The token of a form is derived from the cookie, so
no other site can make one. In production the cookie is also the key of the session.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from flask import Response, g, request, url_for
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from .. import proxies
from ..domain.access.roles import Role
from ..engine.admin import accounts
from .deps import deps
from .places import cookie_path, here
from .routes import NAME, ROLES

COOKIE = "inngest_py_ui"
_BYTES = 32
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at the page, with the token for forms."""

    name: str
    role: Role
    csrf: str
    by_proxy: bool = False  # then there is no log-out here

    def may(self, role: str) -> bool:
        """Say whether the viewer's role includes another one."""
        return self.role.may(Role(role))


def check() -> Response | None:
    """Check the request of a dashboard route: None lets it pass. Raises Forbidden, Unauthorized."""
    role = ROLES.get(request.endpoint or "", Role.ADMIN)
    g.cookie = _cookie()
    g.news = deps().pulse.version  # before the page reads its rows
    if request.method not in _READS and not _is_ours(g.cookie):
        raise Forbidden(
            "the form is not from this dashboard, or its cookie is gone: reload the page"
        )
    if role is None and request.endpoint == f"{NAME}.static":
        return None
    g.viewer = _viewer()
    if role is None:
        return None
    if g.viewer is None:
        return _ask()
    if not g.viewer.role.may(role):
        raise Forbidden(f"this needs the role {role.value}, and {g.viewer.name} is {g.viewer.role}")
    return None


def set_viewer() -> None:
    """Set the viewer for a page that no route answers."""
    g.cookie = _cookie()
    g.viewer = _viewer()


def _viewer() -> Viewer | None:
    form = token(g.cookie)
    if deps().settings.dev:
        return Viewer("dev", Role.ADMIN, form)
    by_proxy = _named_by_proxy()
    if by_proxy is not None:
        role = accounts.role_of(deps().ctx, by_proxy)
        return Viewer(by_proxy, role or Role(deps().settings.ui_proxy_role), form, by_proxy=True)
    found = None if g.is_new else accounts.who(deps().ctx, g.cookie)
    return None if found is None else Viewer(*found, form)


def _named_by_proxy() -> str | None:
    """Read the user that a trusted proxy names; None without a proxy or a name."""
    header = deps().settings.ui_proxy_header
    if not header or not proxies.is_trusted(deps().settings, request):
        return None
    given = request.headers.get(header, "")
    return accounts.check_name(given) if given else None


def address() -> str:
    """Return the client's address."""
    return proxies.client_address(deps().settings, request)


def _ask() -> Response:
    """Send a browser to the login; answer 401 to scripts and forms."""
    if request.method != "GET" or "HX-Request" in request.headers or request.endpoint == "ui.live":
        raise Unauthorized("you are not logged in any more: reload the page")
    path = here()
    first = url_for(f"{NAME}.home")
    answered = Response(status=303)
    answered.location = url_for(f"{NAME}.login", next=path if path != first else None)
    return answered


def token(cookie: str) -> str:
    """Derive the token of a browser's forms."""
    return hashlib.sha256(f"form:{cookie}".encode()).hexdigest()


def local(path: str) -> str:
    """Return a path if a browser would stay on this server with it, else that of the first page."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if plain and path.isprintable() else url_for(f"{NAME}.home")


def new_cookie() -> str:
    """Make the token of a browser."""
    return secrets.token_urlsafe(_BYTES)


def _cookie() -> str:
    """Read the browser's token, or make a new one, which finish() sends."""
    found = request.cookies.get(COOKIE, "")
    g.is_new = not (20 <= len(found) <= 64 and found.isascii())
    return new_cookie() if g.is_new else found


def _is_ours(cookie: str) -> bool:
    if g.is_new or request.headers.get("Sec-Fetch-Site", "same-origin") not in (
        "same-origin",
        "none",
    ):
        return False
    given = request.form.get("csrf") or request.headers.get("X-CSRF-Token", "")
    return hmac.compare_digest(given.encode(errors="replace"), token(cookie).encode())


def set_cookie(response: AnyResponse, value: str) -> None:
    """Send the browser its token, in a cookie that scripts and other sites' posts cannot use."""
    secure = proxies.is_https(deps().settings, request)
    response.set_cookie(
        COOKIE, value, httponly=True, samesite="Lax", secure=secure, path=cookie_path()
    )


def finish(response: Response) -> Response:
    """Set the cookie of a new browser."""
    if g.get("is_new") and request.endpoint != "ui.static":
        set_cookie(response, g.cookie)
    return response
