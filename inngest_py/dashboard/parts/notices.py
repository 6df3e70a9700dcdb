"""What a form says after it has been carried out: a word in the URL, so that no text comes in."""

from flask import request

_WORDS = {
    "cancelled": "The run was cancelled.",
    "ended": "Nothing was cancelled: the run had ended already.",
    "rerun": "This run repeats the one you came from.",
    "paused": "The function is paused: nothing of it runs until it is resumed.",
    "resumed": "The function goes on: what waited for it is due now.",
    "overridden": "The limits are changed: what waits goes by them at once.",
    "restored": "The limits are again those that the app registered.",
    "sent": "The event was stored, with the runs that it starts.",
    "invoked": "The function was invoked.",
    "synced": "The app was asked to sync, and answered.",
    "not-synced": "The app was asked to sync and did not: what went wrong is told with it.",
    "archived": "The app is archived: nothing starts its functions, and its runs go on.",
}
_COUNTED = {
    "bulk-cancel": "{n} cancelled, {m} had ended already or were gone.",
    "bulk-rerun": "{n} run again, {m} could not be: event or function is gone.",
}


def notice() -> str | None:
    """Word what the last form did; None when the page follows no form."""
    done = request.args.get("done", "")
    if done in _COUNTED:
        counts = {name: request.args.get(name, 0, type=int) for name in ("n", "m")}
        return _COUNTED[done].format(**counts)
    return _WORDS.get(done)
