"""The frames of an app's own code in the stacks of its errors, of Python, TypeScript and Go. Pure.

Lines are left out: they move with each deploy.
"""

import re

_MOST_CHARS = 64 * 1024  # of a stack; what is left out lies in its middle
_MOST_FRAMES = 20
_PYTHON = re.compile(r'^\s*File "([^"\n]+)", line \d+, in ([^\n]+)', re.MULTILINE)
_SCRIPT = re.compile(
    r"^\s*at (?:async )?(?:([^\n()]{1,200}?) \()?((?:[a-z-]+:/{0,3})?[^\s()]+?):\d+(?::\d+)?\)?$",
    re.MULTILINE,
)
_GO = re.compile(r"\t(.{1,500}\.go):\d+")
# runtimes, installed packages, and the SDKs themselves
_FOREIGN = re.compile(
    r"/(?:site|dist)-packages/|/lib(?:64)?/python\d|/python3[\d.]*/lib/|node_modules/|^node:"
    r"|^internal/|^<|/usr/(?:local/)?(?:lib/)?go(?:-[\d.]+)?/src/|/pkg/mod/|/goroot/"
    r"|(?:^|/)inngest(?:_py)?/|\.pnpm/|/deno(?:\.land|/)|^bun:|^native$",
    re.IGNORECASE,
)


def own_frames(stack: str) -> tuple[str, ...]:
    """List `file:function` of the app's own code, innermost first; of a path, its last two parts.

    A recursion's frame is listed once. Empty for a stack of another form.
    """
    if len(stack) > _MOST_CHARS:
        stack = stack[: _MOST_CHARS // 2] + "\n" + stack[-_MOST_CHARS // 2 :]
    if found := _PYTHON.findall(stack):
        pairs = [(path, name) for path, name in reversed(found)]
    elif found := _of_go(stack):
        pairs = found
    else:
        pairs = [(path, name) for name, path in _SCRIPT.findall(stack)]
    frames = [
        f"{_short(path)}:{name.strip() or '<anonymous>'}"
        for path, name in pairs
        if not _FOREIGN.search(path.replace("\\", "/"))
    ]
    return tuple(dict.fromkeys(frames))[:_MOST_FRAMES]


def _of_go(stack: str) -> list[tuple[str, str]]:
    """List file and function of Go's frames: each has a line with the call, and one with its place.

    By lines: one expression over both would take seconds for some texts.
    """
    found, before = [], ""
    for line in stack.splitlines():
        place = _GO.match(line)
        if place is not None and before.endswith(")"):
            call = before.rpartition("(")[0].rpartition("/")[2]
            found.append((place.group(1), call))
        before = line
    return found


def _short(path: str) -> str:
    parts = [part for part in path.replace("\\", "/").partition("?")[0].split("/") if part]
    return "/".join(parts[-2:])
