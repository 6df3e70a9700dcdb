"""Tokens that say where a span's output is stored, opaque to callers."""

import base64
import binascii

import orjson

from ...domain.errors import Invalid
from ...domain.events.filters import check_text
from ...domain.limits import MAX_STEP_ID_BYTES
from ...domain.reports.timeline import Output
from ...domain.values import ids

_MOST_CHARS = 3 * MAX_STEP_ID_BYTES
_MOST_ROW_ID = 2**63 - 1


def write_output(output: Output) -> str:
    """Make the token of an output."""
    body = orjson.dumps([output.run_id, output.step, output.attempt_id])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def read_output(token: str) -> Output:
    """Read a token that write_output() made. Raises Invalid."""
    wrong = Invalid("outputID is not the outputID of a span", field="outputID")
    if len(token) > _MOST_CHARS:
        raise wrong
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        run_id, step, attempt_id = found
    except (ValueError, TypeError, binascii.Error):
        raise wrong from None
    if not isinstance(run_id, str) or not ids.is_ulid(run_id):
        raise wrong
    if not _is_step(step) or not _is_row_id(attempt_id):
        raise wrong
    return Output(run_id, step, attempt_id)


def _is_step(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, str) and check_text(value, "outputID") == value


def _is_row_id(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _MOST_ROW_ID)
