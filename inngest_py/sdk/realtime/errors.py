"""What goes wrong between an app and the server."""

import inngest


class RealtimeError(Exception):
    """The server could not be reached, or could not do it now: another try may succeed."""


class RealtimeRefused(inngest.NonRetriableError, RealtimeError):
    """The server refused: the signing key, a name or the data is wrong. A step is not retried."""


def of_answer(asked: str, status: int, said: str) -> RealtimeError:
    """Make the error for an HTTP status that is not a success.

    A status below 500 is a refusal, apart from 408 and 429, which ask to come later.
    """
    text = f"the server did not {asked}: HTTP {status}: {said.strip()[:500]}"
    if status in (401, 403):
        text += " (does the client's signing key, INNGEST_SIGNING_KEY, match the server's?)"
    final = 400 <= status < 500 and status not in (408, 429)
    return RealtimeRefused(text) if final else RealtimeError(text)
