"""The notice after a form: a word in a cookie, for the page that the form leads to, and only once.

So no link can make a page say that something was done, and a reload does not say it again.
"""

from urllib.parse import urlsplit

from flask import Response, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from ... import proxies
from ..deps import deps
from ..places import cookie_path

_COOKIE = "inngest_py_notice"
_SECONDS = 60

_WORDS = {
    "cancelled": "The run was cancelled.",
    "ended": "Nothing was cancelled: the run had ended already.",
    "skipped": "The wait was skipped: what it waited for happens now.",
    "rerun": "This run repeats the one you came from.",
    "paused": "The function is paused: none of its runs continues until it is resumed.",
    "resumed": "The function is resumed: its waiting items are due now.",
    "overridden": "The limits are changed: waiting items follow them at once.",
    "restored": "The limits are again those that the app registered.",
    "search-keys": "The search keys are changed: older runs are indexed in the background.",
    "view-saved": "The view is saved: it stands above the list, for all users.",
    "view-deleted": "The view is deleted.",
    "sent": "The event was stored, with the runs that it starts.",
    "invoked": "The function was invoked.",
    "synced": "The app was asked to sync, and did.",
    "not-synced": "The app was asked to sync and did not: its card says why.",
    "connected": "The Celery app is connected: its tasks are functions once a worker answers.",
    "disconnected": "The Celery app is disconnected: nothing starts its tasks now.",
    "configured": "The settings of the task are changed: its next runs follow them.",
    "drained": "The worker gets no more: it ends the calls that it has.",
    "works-again": "The worker gets work again.",
    "receiver-added": "The receiver is added: send a test to see that it gets alerts.",
    "receiver-changed": "The receiver is changed.",
    "receiver-removed": "The receiver is removed: it gets no more alerts.",
    "receiver-tried": "The receiver accepted the test.",
    "error-open": "The error is open again.",
    "error-muted": "The error is muted: its runs are counted all the same.",
    "error-resolved": "The error is resolved: a run that starts and fails from now on opens it.",
    "operation-begun": "It has begun: this page shows how far it is.",
    "operation-paused": "The operation is paused; what it has done stays.",
    "operation-resumed": "The operation continues.",
    "operation-cancelled": "The operation is cancelled; what it has done stays.",
    "operation-rate": "The rate is changed.",
    "user-added": "The user is added.",
    "user-role": "The role is changed.",
    "user-password": "The password is set: the user has to log in again.",
    "user-removed": "The user is removed, and logged out everywhere.",
    "token-revoked": "The token is revoked: servers refuse it within ten seconds.",
    "own-password": "Your password is changed: you are logged in here alone.",
    "archived": "The app is archived: nothing starts its functions; its runs continue.",
}
_COUNTED = {
    "bulk-cancel": "{n} cancelled, {m} had ended already or were gone.",
    "bulk-rerun": "{n} run again, {m} could not: their event or function is gone.",
}


def leave(target: str, done: str, *counts: int) -> AnyResponse:
    """Lead to a page that shows the notice of this word; `counts` are its numbers n and m."""
    answered = redirect(target, 303)
    value = ".".join([done, *map(str, counts)]) + urlsplit(target).path
    secure = proxies.is_https(deps().settings, request)
    answered.set_cookie(
        _COOKIE,
        value,
        max_age=_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=secure,
        path=cookie_path(),
    )
    return answered


def notice() -> str | None:
    """Return the notice of the last form, once; None if this page does not follow it.

    A part that a page fetches for itself shows none, and leaves it to the page.
    """
    word, slash, path = request.cookies.get(_COOKIE, "").partition("/")
    if slash + path != request.script_root + request.path or "HX-Request" in request.headers:
        return None
    g.notice_shown = True
    done, *counts = word.split(".")
    if done not in _COUNTED:
        return _WORDS.get(done)
    numbers = [int(count) for count in counts if count.isascii() and count.isdigit()][:2]
    return _COUNTED[done].format(**dict(zip("nm", [*numbers, 0, 0], strict=False)))


def forget(response: Response) -> Response:
    """Delete the cookie of a notice that this response shows."""
    if g.get("notice_shown"):
        response.delete_cookie(_COOKIE, path=cookie_path())
    return response
