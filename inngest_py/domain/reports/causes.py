"""The cause of an error: its message, or its step, without what differs from run to run. Pure."""

import re

_MOST_CHARS = 500  # of a message; the rest does not tell causes apart
# In this order: a part of a URL or of a quoted text is no number of its own.
_VARIABLE = re.compile(
    r"""
      \b[a-z][a-z0-9+.-]{1,20}://[^\s"'<>)\]]+                 # a URL
    | \b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[ ]?[+-]\d\d:?\d\d)?  # a time
    | (?<![\w/])/(?:tmp|var/tmp|var/folders|private/tmp)/[^\s"':;,)]+    # a file for a moment
    | [\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+                       # an e-mail address
    | "[^"\n]*" | `[^`\n]*` | (?<!\w)'[^'\n]*'(?!\w)          # quoted, but not an apostrophe
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b          # a UUID
    | \b(?=[a-z_-]*\d)[0-9a-z]{3,}(?:[_-][0-9a-z]+)*\b         # a word with digits, such as an id
    | \b(?=[a-z_-]*\d)[0-9a-z]{1,2}(?:[_-][0-9a-z]+)+\b        # one with a short prefix, `ch_81f2`
    | \b0x[0-9a-f]+\b
    | (?<![\w.])-?\d+(?:[.,:]\d+)*                             # a number, a time or an address
    """,
    re.VERBOSE | re.IGNORECASE,
)
# the number of a loop, after something that separates it: `charge-3`, `charge [3]`, `charge:3`
_INDEX = re.compile(r"\s*(?:[\s:#./_-]+\d+|\[\d+\]|\(\d+\))(?=$|[\s:#./_\[(-])")
# of names, only what is long enough for an id: `step2` and `pay-v2` are other steps than `step1`
_STEP_ID = re.compile(
    r"""
      \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b
    | (?<![0-9a-z])(?=[a-z]*\d)[0-9a-z]{12,}(?![0-9a-z])
    | (?<=[\s:#./_-])(?=[a-z]*\d)[0-9a-z]{4,}(?![0-9a-z])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")


def cause(message: str) -> str:
    """Return what messages of the same cause share: numbers, ids, quotes and addresses become #."""
    return _SPACE.sub(" ", _VARIABLE.sub("#", message[:_MOST_CHARS])).strip()


def step_name(name: str) -> str:
    """Return a step's name without ids, and without the numbers that a loop gives its steps."""
    return _SPACE.sub(" ", _STEP_ID.sub("#", _INDEX.sub("", name))).strip() or name
