"""The notice after a form. The URL names it by a word, so nobody can put text on a page by URL."""

from flask import request

_WORDS = {
    "cancelled": "The run was cancelled.",
    "ended": "Nothing was cancelled: the run had ended already.",
    "skipped": "The wait was skipped: what it waited for happens now.",
    "rerun": "This run repeats the one you came from.",
    "paused": "The function is paused: none of its runs continues until it is resumed.",
    "resumed": "The function is resumed: its waiting items are due now.",
    "overridden": "The limits are changed: waiting items follow them at once.",
    "restored": "The limits are again those that the app registered.",
    "sent": "The event was stored, with the runs that it starts.",
    "invoked": "The function was invoked.",
    "synced": "The app was asked to sync, and did.",
    "not-synced": "The app was asked to sync and did not: its card says why.",
    "connected": "The Celery app is connected: its tasks are functions once a worker answers.",
    "disconnected": "The Celery app is disconnected: nothing starts its tasks now.",
    "configured": "The settings of the task are changed: its next runs follow them.",
    "drained": "The worker gets no more: it ends the calls that it has.",
    "works-again": "The worker gets work again.",
    "archived": "The app is archived: nothing starts its functions; its runs continue.",
}
_COUNTED = {
    "bulk-cancel": "{n} cancelled, {m} had ended already or were gone.",
    "bulk-rerun": "{n} run again, {m} could not: their event or function is gone.",
}


def notice() -> str | None:
    """Return the notice of the last form; None if the page does not follow a form."""
    done = request.args.get("done", "")
    if done in _COUNTED:
        counts = {name: request.args.get(name, 0, type=int) for name in ("n", "m")}
        return _COUNTED[done].format(**counts)
    return _WORDS.get(done)
