"""Outputs: results and errors of functions, in the forms that are stored, published and shown."""

import json
import re
from collections.abc import Mapping
from typing import NotRequired, TypedDict

from ..errors import Invalid, TooDeep
from ..values import canonical
from ..values.checks import MOST_LEVELS, cut
from ..values.json_types import JsonObject
from .runs import RunStatus

DEFAULT_NAME = "Error"
DEFAULT_MESSAGE = "Function execution error"
MAX_NESTED_BYTES = 32 * 1024
_MESSAGE = re.compile(r'"message":("(?:[^"\\]|\\.)*")')


class ErrorParts(TypedDict):
    """An error as people see it."""

    name: str
    message: str
    stack: str | None
    cause: NotRequired[object]


class Parts(TypedDict, total=False):
    """The parts of a stored result: its input and data as JSON text, or its error."""

    input: str
    data: str
    error: ErrorParts


def parse_result(body: bytes) -> bytes:
    """Make canonical JSON of the body of a 200 answer (execution.md §3.2).

    A JSON string that holds a JSON object is unwrapped once. Text that is not JSON becomes a
    string, an empty body becomes null. Raises Invalid for a value without a canonical form, such
    as NaN, and TooDeep for one that is nested deeper than MOST_LEVELS.
    """
    if not body.strip():
        return b"null"
    try:
        value = canonical.loads(body, MOST_LEVELS)
    except TooDeep:
        raise
    except Invalid:
        if _is_python_json(body):
            raise
        value = body.decode("utf-8", "replace")
    else:
        inner = object_in(value) if isinstance(value, str) else None
        value = value if inner is None else inner
    return canonical.dumps(value)


def _is_python_json(body: bytes) -> bool:
    """Say whether a body is JSON except for the NaN or Infinity that Python writes."""
    try:
        json.loads(body.decode())  # of bytes, json reads UTF-16 and UTF-32, too
    except (ValueError, RecursionError):
        return False
    return True


def raw(body: bytes) -> str:
    """Make canonical JSON of a body that no SDK sent: its value, or else its text."""
    try:
        return parse_result(body).decode()
    except Invalid:
        return canonical.dumps(body.decode("utf-8", "replace")).decode()


def parse_error(body: bytes) -> object:
    """Read the error that an SDK sent, and keep as much of it as possible.

    Values that are nested too deep are cut off; numbers that JSON does not have become null.
    Raises Invalid for text that is not JSON.
    """
    try:
        return canonical.loads(body, MOST_LEVELS)
    except Invalid:
        text = cut(body.decode("utf-8", "replace"), MOST_LEVELS)
    try:
        found = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"this is not JSON: {error}") from error
    return canonical.loads(canonical.dumps(found))


def error_object(output: object, fallback_text: str | None = None) -> JsonObject:
    """Normalise the output of a failed run (execution.md §3.3, events.md §8.3).

    The result holds the strings `error`, `name` and `message`, and `stack`, `cause` and `data`
    where the output has them. `fallback_text` is the text of the transport's or status's error.
    """
    default = fallback_text or DEFAULT_MESSAGE
    if isinstance(output, str):
        given: Mapping[str, object] = object_in(output) or {"message": output}
    else:
        given = output if isinstance(output, dict) else {}
    given = _nested(given)
    name = _text(given, "name") or DEFAULT_NAME
    message = _text(given, "message")
    full = f"{name}: {message}" if message else DEFAULT_MESSAGE
    made: JsonObject = {
        "error": _text(given, "error") or fallback_text or full,
        "name": name,
        "message": message or default,
    }
    if _text(given, "stack"):
        made["stack"] = given["stack"]
    made |= {key: given[key] for key in ("cause", "data") if given.get(key) is not None}
    return made


def variables(payload: str, output: str | None, status: str) -> dict[str, object]:
    """Make the variables that a filter of runs reads: event, and output and error if there are."""
    found: dict[str, object] = {"event": canonical.loads(payload)}
    if output is not None:
        value = canonical.loads(output)
        failed = status == RunStatus.FAILED.value
        found["output"] = value = error_object(value) if failed else value
        if failed:
            found["error"] = value
    return found


def _nested(given: Mapping[str, object]) -> Mapping[str, object]:
    """Find the error inside the keys that wrap it: an object, or a JSON string of one."""
    for key in ("error", "body"):
        value = given.get(key)
        if isinstance(value, str) and len(value.encode("utf-8", "replace")) <= MAX_NESTED_BYTES:
            value = object_in(value)
        if isinstance(value, dict):
            return value
    return given


def object_in(text: str) -> JsonObject | None:
    """Read the JSON object that a text holds; None when it holds none."""
    if not text.lstrip().startswith("{"):  # spares the parser long plain texts
        return None
    try:
        value = canonical.loads(text, MOST_LEVELS)
    except Invalid:
        return None
    return value if isinstance(value, dict) else None


def _text(given: Mapping[str, object], key: str) -> str | None:
    value = given.get(key)
    return value if isinstance(value, str) and value else None


def shown(stored: str) -> Parts:
    """Split a step's stored result (execution.md §2) into its parts: input, data or error.

    A value that is wrapped in none of them is the data itself. Data and input are JSON text; a
    null is left out.
    """
    value = canonical.loads(stored)
    if not isinstance(value, dict) or len(value) != 1:
        return {} if value is None else {"data": stored}
    [(key, inner)] = value.items()
    if key == "error":
        return shown_error(stored)
    if key not in ("data", "input"):
        return {"data": stored}
    if inner is None:
        return {}
    text = canonical.dumps_exact(inner)
    return {"input": text} if key == "input" else {"data": text}


def name_and_message(head: str) -> tuple[str, str]:
    """Return the name and message of an error; `head` may be the first part of it.

    What is not in that part is empty.
    """
    try:
        error = error_object(canonical.loads(head))
    except Invalid:
        found = _MESSAGE.search(head)
        return "", json.loads(found.group(1)) if found else ""
    return str(error["name"]), str(error["message"])


def one_line(head: str) -> str:
    """Return the name and message of an error in a line; `head` may be the first part of it."""
    name, message = name_and_message(head)
    return " ".join((message if message.startswith(name) else f"{name}: {message}").split())


def error_code(stored: str) -> str | None:
    """Return the code that an SDK gave an error; None without one."""
    value = canonical.loads(stored)
    return _text(value, "code") if isinstance(value, dict) else None


def shown_error(stored: str) -> Parts:
    """Split an error into its parts; without a message, the raw text is the stack (api.md §5.5)."""
    value = canonical.loads(stored)
    given = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(given, dict) or _text(given, "message") is None:
        name = _text(given, "name") if isinstance(given, dict) else None
        text = given if isinstance(given, str) else canonical.dumps(given).decode()
        return {"error": {"name": name or DEFAULT_NAME, "message": "", "stack": text}}
    return {
        "error": {
            "name": _text(given, "name") or DEFAULT_NAME,
            "message": given["message"],
            "stack": _text(given, "stack"),
            "cause": given.get("cause"),
        }
    }
