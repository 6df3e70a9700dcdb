"""A run's history line by line, and times within sentences."""

from datetime import timedelta

import pytest
from flask import Flask

from inngest_py.dashboard.parts.words import timed
from inngest_py.dashboard.run_page.history import history
from inngest_py.domain.reports import spans
from inngest_py.domain.reports.timeline import EndedAttempt, Span, TimelineRun
from inngest_py.domain.runs.runs import RunStatus
from tests.factories import NOW, RUN_ID
from tests.unit.test_waterfall import tried

SECOND = timedelta(seconds=1)


def test_a_history_is_in_order() -> None:
    run = TimelineRun(
        RUN_ID, RunStatus.FAILED, NOW, NOW + SECOND, NOW + 9 * SECOND, has_output=True
    )
    made = [
        tried(1, "StepError", "errored", 0, 1, 2),
        tried(2, "StepRun", "completed", 4, 4.5, 5),
        tried(3, "Sleep", "completed", 5, 5, 8, step="b"),
    ]
    lines = [(line.at - NOW, line.about, line.text, line.bad) for line in history(_root(run, made))]
    assert lines == [
        (0 * SECOND, "run", "queued", False),
        (1 * SECOND, "run", "the first request goes out", False),
        (1 * SECOND, "name", "attempt 1 begins", False),
        (2 * SECOND, "name", "attempt 1 failed", True),
        (4.5 * SECOND, "name", "attempt 2 begins", False),
        (5 * SECOND, "name", "attempt 2 completed", False),
        (5 * SECOND, "name", "sleeps", False),
        (8 * SECOND, "name", "completed", False),
        (9 * SECOND, "run", "failed", True),
    ]


def _root(run: TimelineRun, made: list[EndedAttempt]) -> Span:
    return spans.tree(run, made, [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b> 2026-11-24 16:37:04 UTC.", '&lt;b&gt; <time datetime="2026-11-24T16:37:04.000Z"'),
        ("at 2026-19-39 16:37:04 UTC", "at 2026-19-39 16:37:04 UTC"),
        (f"held by {RUN_ID}, {RUN_ID[::-1]}", f'held by <a class="id" href="/runs/{RUN_ID}">'),
    ],
)
def test_sentences_have_times_and_links(text: str, shown: str) -> None:
    app = Flask(__name__)
    app.add_url_rule("/runs/<run_id>", "ui.run")
    with app.test_request_context():
        assert timed(text, [RUN_ID]).startswith(shown)
        assert "<time" not in timed(text.replace("UTC", ""), [])
