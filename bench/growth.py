"""Does it stay fast as it grows? The same figures in an empty database and in one of many runs.

    python -m bench.growth [--mode embedded] [--runs 1000000] [--repeat 3]

Measures `noop`, `seq5` and `accept`, fills the database with finished runs (five steps each, see
`bench/grown.py`), measures again, and asks for lists of runs with filters. Fails (exit code 1) when
a figure changed by more than 20 % or a list took more than 50 ms.
"""

import argparse
import json
import os
import sys
import time
import urllib.parse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from .endpoint import FUNCTIONS
from .figures import medians
from .grown import fill
from .scenarios import SCENARIOS, SHORT, Figures, warm_up
from .server import MODES, Subject, fetch

_HOT = ("noop", "seq5", "accept")
# CPU is counted in hundredths of a second: 300 runs would use 20 of them in the store
_SIZE = replace(SHORT, seq5=1000, noop=1000)
_WATCHED = (
    ("noop", "runs_s", 1),
    ("noop", "cpu_ms_run", -1),
    ("seq5", "runs_s", 1),
    ("seq5", "cpu_ms_run", -1),
    ("seq5", "store_cpu_ms_run", -1),
    ("accept", "single_events_s", 1),
    ("accept", "batch_events_s", 1),
    ("accept", "batch_cpu_ms_run", -1),
)
_MOST_CHANGE, _MOST_MS, _ASKED = 0.2, 50.0, 9
_RUNS = """query($filter: RunsFilterV2!) { runs(first: 40, filter: $filter,
  orderBy: [{field: QUEUED_AT, direction: DESC}]) {
  edges { node { id status queuedAt endedAt eventName function { name slug } } }
  pageInfo { hasNextPage } } }"""


def main() -> int:
    """Measure what the arguments say; print JSON and tables; 1 when it has become slow."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    modes = MODES if given.mode == "both" else (given.mode,)
    slow = [told for mode in modes for told in _measure(mode, given.runs, given.repeat)]
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for told in slow:
        print(f"SLOW: {told}")
    return 1 if slow else 0


def _measure(mode: str, runs: int, repeat: int) -> list[str]:
    with Subject(mode) as subject:
        subject.start(FUNCTIONS)
        warm_up(subject)
        before = _hot(subject, repeat)
        began = time.monotonic()
        fill(subject.database_url, runs)
        _say(f"{mode}: {runs:,} runs filled in {time.monotonic() - began:.0f} s")
        size = subject.database_bytes()
        warm_up(subject)
        after = _hot(subject, repeat)
        lists = _lists(subject)
    print(json.dumps({mode: {"before": before, "after": after, "lists": lists, "bytes": size}}))
    return _table(mode, runs, size, before, after) + _lists_table(mode, lists)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _hot(subject: Subject, repeat: int) -> dict[str, Figures]:
    found = []
    for _ in range(repeat):
        found.append({name: SCENARIOS[name](subject, _SIZE) for name in _HOT})
        _say(f"{subject.mode}: seq5 {found[-1]['seq5']['runs_s']:.0f} runs/s")
    return medians(found)


def _table(
    mode: str, runs: int, size: int, before: dict[str, Figures], after: dict[str, Figures]
) -> list[str]:
    print(f"\n| {mode} | empty | {runs:,} runs, {size / 1e9:.1f} GB | change |\n|---|---|---|---|")
    slow = []
    for scenario, figure, good in _WATCHED:
        was, now = before[scenario][figure], after[scenario][figure]
        if not was:
            continue
        change = now / was - 1
        print(f"| {scenario} {figure} | {was:,.2f} | {now:,.2f} | {change:+.0%} |")
        if change * good < -_MOST_CHANGE:
            slow.append(f"{mode}: {scenario} {figure} {change:+.0%}")
    return slow


def _lists_table(mode: str, lists: dict[str, tuple[float, float]]) -> list[str]:
    print(f"\n| {mode}: list | median ms | worst ms |\n|---|---|---|")
    for name, (middle, worst) in lists.items():
        print(f"| `{name}` | {middle:.0f} | {worst:.0f} |")
    return [
        f"{mode}: {name} took {middle:.0f} ms"
        for name, (middle, _) in lists.items()
        if middle > _MOST_MS
    ]


def _lists(subject: Subject) -> dict[str, tuple[float, float]]:
    url = subject.server.url
    event = fetch(f"{url}/v1/events?limit=1")["data"][0]
    now = datetime.now(UTC)
    week, day = (_stamp(now - timedelta(days=days)) for days in (7, 1))
    function = fetch(f"{url}/api/v1/functions")["data"][3]
    paths = [
        "/api/v1/runs?status=failed",
        "/api/v1/runs?status=running",
        f"/api/v1/runs?function={function['id']}&status=failed",
        f"/api/v1/runs?queued_before={week}",
        f"/v1/events/{event['internal_id']}/runs",
        f"/v1/events?received_before={week}",
        "/v2/runs",
        "/v2/runs?status=FAILED",
        "/v2/runs?status=RUNNING",
        f"/v2/runs?from={week}&until={day}&status=FAILED",
        f"/v2/runs?timeField=endedAt&from={week}&until={day}",
        f"/v2/runs?timeField=startedAt&from={day}",
        "/v2/apps/bench/functions/bench-seq5/runs?status=FAILED",
    ]
    asked: dict[str, Any] = {path: (url + path, None) for path in paths}
    for name, chosen in _filters(now, function["internal_id"]).items():
        asked[name] = (f"{url}/v0/gql", {"query": _RUNS, "variables": {"filter": chosen}})
    return {name.replace(week, "WEEK").replace(day, "DAY"): _timed(*a) for name, a in asked.items()}


def _stamp(at: datetime) -> str:
    return urllib.parse.quote(at.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _filters(now: datetime, function_id: str) -> dict[str, dict[str, Any]]:
    since = {"from": (now - timedelta(days=40)).isoformat()}
    return {
        "gql runs": since,
        "gql runs, failed": since | {"status": ["FAILED"]},
        "gql runs, running": since | {"status": ["RUNNING"]},
        "gql runs, function": since | {"functionIDs": [function_id]},
        "gql runs, function, failed": since | {"functionIDs": [function_id], "status": ["FAILED"]},
        "gql runs, by end, failed": since | {"timeField": "ENDED_AT", "status": ["FAILED"]},
        "gql runs, a day a week ago": {
            "from": (now - timedelta(days=8)).isoformat(),
            "until": (now - timedelta(days=7)).isoformat(),
        },
        "gql runs, CEL": since | {"query": "int(event.data.i) % 7 == 3"},
    }


def _timed(url: str, body: Any) -> tuple[float, float]:
    took = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        answer = fetch(url, body)
        took.append((time.perf_counter() - began) * 1000)
        if body is not None and answer.get("errors"):
            raise RuntimeError(str(answer["errors"])[:500])
    return median(took), max(took)


if __name__ == "__main__":
    raise SystemExit(main())
