"""The stored values of a part of a run, as a page shows them: only their heads, however long."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from ...domain.reports.timeline import Output, Span
from ...domain.runs import outputs
from ...domain.runs.runs import RunStatus
from ...domain.values import canonical
from ...storage.queries import run_detail
from ..parts import words
from ..rendering import url

_INPUT = "input"  # in a step's info: what its SDK said that it was called with


@dataclass(frozen=True, slots=True)
class Value:
    """A stored value as a page shows it: its head, its whole length, and the URL of all of it."""

    title: str
    text: str
    size: int
    href: str
    error: outputs.ErrorParts | None = None

    @property
    def is_cut(self) -> bool:
        """Whether there is more than the head."""
        return self.error is None and self.size > words.MOST_SHOWN


def of_span(tx: Connection, row: RowMapping, span: Span, called_with: object = None) -> list[Value]:
    """Read the inputs and outputs of a part of a run: the error first, then what went in.

    `called_with` has the arguments of a step's task, None for another part.
    """
    run_id, most = row["id"], words.MOST_SHOWN
    made: list[Value] = []
    if span.output is not None:
        made += _output(tx, row, span.output)
    if span.error is not None:
        text = canonical.dumps(span.error).decode()
        made.append(_value("Error", (text, len(text)), "", failed=True))
    given = run_detail.run_input(tx, run_id, most)
    if given is not None and given[0] == span.step and called_with is None:
        href = url("run_value", run_id=run_id, of="input")
        made.append(_value("Input of the rerun", given[1], href))
    info = dict(span.info or {})
    called_with = info.pop(_INPUT, called_with)
    if called_with is not None:
        text = canonical.dumps(called_with).decode()
        href = url("run_value", run_id=run_id, of="step-input", step=span.step)
        made.append(_value("Input", (text[:most], len(text)), href))
    if info and span.step is not None and span.given_by is None:
        text = canonical.dumps(_plain(info)).decode()
        made.append(Value("Waits for", words.pretty(text), len(text), ""))
    if span.is_root:
        event = run_detail.event_payload(tx, row["event_id"], most)
        if event is not None:
            title = "Event" if row["batch_id"] is None else "First event of the batch"
            made.append(_value(title, event, url("event_raw", event_id=row["event_id"])))
    return made


def _plain(info: dict[str, object]) -> dict[str, object]:
    return {
        name: words.stamp(value) if isinstance(value, datetime) else value
        for name, value in info.items()
    }


def _output(tx: Connection, row: RowMapping, place: Output) -> list[Value]:
    # an error is read whole, where its stack is not too long: a part of it says nothing
    most = words.MOST_OF_ERROR
    href = url(
        "run_value", run_id=row["id"], of="output", step=place.step, attempt=place.attempt_id
    )
    if place.attempt_id is not None:
        head = run_detail.attempt_error(tx, row["id"], place.attempt_id, most)
    elif place.step is not None:
        head = run_detail.step_output(tx, row["id"], place.step, most)
    else:
        head = run_detail.run_output(tx, row["id"], most)
    if head is None:
        return []
    failed = place.attempt_id is not None or (
        place.step is None and row["status"] == RunStatus.FAILED.value
    )
    return [_value("Error" if failed else "Output", head, href, failed=failed)]


def _value(title: str, head: run_detail.Head, href: str, *, failed: bool = False) -> Value:
    text, size = head
    if size > len(text):
        return Value(title, text[: words.MOST_SHOWN], size, href)
    error: outputs.ErrorParts | None = None
    if failed:
        error = outputs.shown_error(text)["error"]
    elif title == "Output":
        shown = outputs.shown(text)
        error = shown.get("error")
        title = "Error" if error else title
        text = shown.get("data", shown.get("input", text))
        size = len(text)
    if error is None and size > words.MOST_SHOWN:
        return Value(title, text[: words.MOST_SHOWN], size, href)
    return Value(title, words.pretty(text), size, href, error)
