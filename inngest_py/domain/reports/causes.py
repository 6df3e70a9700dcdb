"""The cause of an error: its message without what differs from run to run. Pure."""

import re

_MOST_CHARS = 500  # of a message; the rest does not tell causes apart
# In this order: a part of a URL or of a quoted text is no number of its own.
_VARIABLE = re.compile(
    r"""
      \b[a-z][a-z0-9+.-]{1,20}://[^\s"'<>)\]]+                 # a URL
    | [\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+                       # an e-mail address
    | "[^"\n]*" | `[^`\n]*` | (?<!\w)'[^'\n]*'(?!\w)          # quoted, but not an apostrophe
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b          # a UUID
    | \b(?=[a-z_-]*\d)[0-9a-z]{3,}(?:[_-][0-9a-z]+)*\b         # a word with digits, such as an id
    | \b0x[0-9a-f]+\b
    | (?<![\w.])-?\d+(?:[.,:]\d+)*                             # a number, a time or an address
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")


def cause(message: str) -> str:
    """Return what messages of the same cause share: numbers, ids, quotes and addresses become #."""
    return _SPACE.sub(" ", _VARIABLE.sub("#", message[:_MOST_CHARS])).strip()
