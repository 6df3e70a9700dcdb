"""Ids: ULIDs sort by creation; UUIDs and hashes are derived, so the same input has the same id."""

import base64
import binascii
import hashlib
import re
import uuid
from datetime import datetime, timedelta

from ..errors import Invalid

DEV_ACCOUNT_ID = "00000000-0000-4000-a000-000000000000"
DEV_ENV_ID = "00000000-0000-4000-b000-000000000000"

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_BASE_32 = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # as int() reads it
_ULID = re.compile(rf"[0-7][{_ALPHABET}]{{25}}")
_MAX_MS = 2**48 - 1
_ENTROPY_BYTES = 10
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]  # of ten bits each
# 2**48 has 15 digits; int() would also take signs, underscores and other scripts' digits.
_SEED = re.compile(r"([0-9]{1,15}),([A-Za-z0-9+/]{14}==)")


def ulid(ms: int, entropy: bytes) -> str:
    """Make a ULID from a time (Unix milliseconds, 48 bits) and 10 bytes of entropy.

    Raises ValueError when either does not fit.
    """
    if not 0 <= ms <= _MAX_MS:
        raise ValueError(f"{ms} ms does not fit the 48 bits of a ULID")
    if len(entropy) != _ENTROPY_BYTES:
        raise ValueError(f"a ULID takes {_ENTROPY_BYTES} bytes of entropy, not {len(entropy)}")
    return _encode(ms << 80 | int.from_bytes(entropy))


def _encode(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -10, -10)])


def _decode(text: str) -> int:
    if not is_ulid(text):
        raise ValueError(f"{text!r} is not a ULID")
    return int(text.translate(_TO_BASE_32), 32)


def is_ulid(text: str) -> bool:
    """Say whether this is a ULID in its canonical, upper-case form."""
    return _ULID.fullmatch(text) is not None


def check_ulid(text: str, label: str, field: str | None = None) -> str:
    """Return the text if it is a ULID. Raises Invalid, which names the field and says `label`."""
    if not is_ulid(text):
        message = f"{text[:64]!r} is not {label}: a ULID has 26 characters"
        raise Invalid(message, field=field or label)
    return text


def ulid_ms(text: str) -> int:
    """Read a ULID's time in Unix milliseconds; raises ValueError for anything else."""
    return _decode(text) >> 80


def lowest_ulid(moment: datetime, later: timedelta = timedelta(0)) -> str:
    """Return the lowest ULID of a time, or of `later` after it: all ids before it are older."""
    return lowest_ulid_of_ms(int((moment.timestamp() + later.total_seconds()) * 1000))


def lowest_ulid_of_ms(ms: int) -> str:
    """Return the lowest ULID of a time in Unix milliseconds."""
    return ulid(min(max(0, ms), _MAX_MS), bytes(_ENTROPY_BYTES))


def ulid_hex(text: str) -> str:
    """Write a ULID's 128 bits as 32 hexadecimal digits; raises ValueError for anything else."""
    return f"{_decode(text):032x}"


def following(text: str, places: int = 1) -> str:
    """Return the ULID that is `places` after this one, with the same millisecond.

    Only the entropy grows (modulo 2**80). Raises ValueError when `text` is not a ULID.
    """
    number = _decode(text)
    mask = (1 << 80) - 1
    return _encode(number & ~mask | (number + places) & mask)


def seeded(header: str | None, index: int) -> str | None:
    """Make the internal id of an event from `x-inngest-event-id-seed` (events.md §5.1).

    `index` counts the events of a body from 1, and is 0 for an invocation. None for a header that
    is absent or malformed: the caller then makes a random ULID.
    """
    found = _SEED.fullmatch(header) if header else None
    if found is None:
        return None
    ms = int(found[1])
    try:
        entropy = base64.b64decode(found[2], validate=True)
    except binascii.Error:  # pragma: no cover - the pattern admits only well-formed base64
        return None
    if not 0 < ms <= _MAX_MS:
        return None
    tail = (int.from_bytes(entropy[6:]) + index) % 2**32
    return ulid(ms, entropy[:6] + tail.to_bytes(4))


def derived(text: str) -> str:
    """Derive an id in the form of a ULID from a text; it does not sort by creation."""
    return _encode(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))


def app_id(name: str) -> str:
    """Derive an app's UUID from its name (sync.md §6)."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def endpoint_app_id(domain: str) -> str:
    """Derive the UUID of a durable endpoint's app from its origin (checkpointing.md §3.1)."""
    name = uuid.UUID(DEV_ENV_ID).bytes + domain.encode()
    digest = hashlib.sha1(uuid.NAMESPACE_OID.bytes + name, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def function_id(name: str, url: str) -> str:
    """Derive a function's UUID from its display name and step URL (sync.md §6)."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name + url))


def wait_id(run_id: str, step: str) -> str:
    """Derive a wait's UUID from its run and its hashed step id (waits.md §2)."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, run_id + step))


def step_hash(step_id: str, index: int = 0) -> str:
    """Hash a step's id as SDKs do: lower-case hex SHA-1 (execution.md §5).

    `index` is 0 for the first use of the id in a run, and counts repeated uses from 1.
    """
    text = f"{step_id}:{index}" if index else step_id
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
