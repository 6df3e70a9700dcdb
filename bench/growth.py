"""Does it stay fast as it grows? The same figures in an empty database and in one of many runs.

    python -m bench.growth [--mode embedded] [--runs 1000000] [--pairs 9]

Starts two servers, fills the database of one with finished runs (five steps each, see
`bench/grown.py`), measures `noop`, `seq5` and `accept` on both in turns, pair by pair, and asks the
grown one for lists of runs with filters. Fails (exit code 1) when all of a figure's interval (see
`bench/pairs.py`) is more than 20 % worse than in the empty one, or when a list took over 50 ms; not
where others had a good part of the machine (see `bench/neighbours.py`).
"""

import argparse
import json
import os
import sys
import time
import urllib.parse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from statistics import median
from typing import Any

from . import neighbours
from .endpoint import FUNCTIONS
from .grown import fill
from .pairs import Interval, Verdict, in_turns, interval, least_pairs
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
Pairs = dict[str, list[tuple[Figures, Figures]]]  # by scenario: the grown one's, the empty one's
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
    parser.add_argument("--pairs", type=int, default=9)
    given = parser.parse_args()
    if given.pairs < least_pairs():
        parser.error(f"--pairs: an interval needs {least_pairs()} at least")
    modes = MODES if given.mode == "both" else (given.mode,)
    slow = [told for mode in modes for told in _measure(mode, given.runs, given.pairs)]
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for told in slow:
        print(f"SLOW: {told}")
    return 1 if slow else 0


def _measure(mode: str, runs: int, pairs: int) -> list[str]:
    with Subject(mode) as grown, Subject(mode) as empty:
        for subject in (grown, empty):
            subject.start(FUNCTIONS)
            warm_up(subject)
        began = time.monotonic()
        fill(grown.database_url, runs)
        _say(f"{mode}: {runs:,} runs filled in {time.monotonic() - began:.0f} s")
        size = grown.database_bytes()
        warm_up(grown)
        before = neighbours.look(grown, empty)
        measured = {name: _hot(name, grown, empty, pairs) for name in _HOT}
        lists = _lists(grown)
        others = neighbours.look(grown, empty).share_of_others(before)
    shown = {"pairs": _watched(measured), "lists": lists, "bytes": size, "others": others}
    print(json.dumps({mode: shown}))
    slow = _table(mode, runs, size, measured) + _lists_table(mode, lists)
    if others <= neighbours.MOST:
        return slow
    print(f"{mode}: others took {others:.0%} of the machine meanwhile: nothing is certain")
    print(*(f"UNCLEAR: {told}" for told in slow), sep="\n")
    return []


def _watched(measured: Pairs) -> dict[str, list[tuple[float, float]]]:
    """Reduce pairs to the figures that are looked at: the grown one's, the empty one's."""
    return {
        f"{scenario} {figure}": [(now[figure], was[figure]) for now, was in measured[scenario]]
        for scenario, figure, _ in _WATCHED
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _hot(name: str, grown: Subject, empty: Subject, pairs: int) -> list[tuple[Figures, Figures]]:
    measure = SCENARIOS[name]
    turns = in_turns(lambda: measure(grown, _SIZE), lambda: measure(empty, _SIZE))
    found = []
    for pair in islice(turns, pairs):
        found.append(pair)
        _say(f"{grown.mode}: {name}, pair {len(found)} of {pairs}")
    return found


def change(
    pairs: list[tuple[Figures, Figures]], figure: str, good: int
) -> tuple[Interval, Verdict]:
    """Compare a figure, the first of each pair with the second: the change, and if it is for worse.

    `good` is 1 where more is better, and -1 where it costs more.
    """
    found = interval([(first[figure], second[figure]) for first, second in pairs])
    if good > 0:
        return found, found.against(1 - _MOST_CHANGE)
    return found, found.inverse().against(1 / (1 + _MOST_CHANGE))


def _table(mode: str, runs: int, size: int, measured: Pairs) -> list[str]:
    print(f"\n| {mode} | empty | {runs:,} runs, {size / 1e9:.1f} GB | change, and its interval |")
    print("|---|---|---|---|")
    slow = []
    for scenario, figure, good in _WATCHED:
        pairs = measured[scenario]
        now, was = (median(pair[place][figure] for pair in pairs) for place in (0, 1))
        if not was:  # SQLite has no process of its own
            continue
        found, verdict = change(pairs, figure, good)
        told = f"{found.ratio - 1:+.0%} ({found.low - 1:+.0%} to {found.high - 1:+.0%})"
        unclear = ", unclear" if verdict is Verdict.UNCLEAR else ""
        print(f"| {scenario} {figure} | {was:,.2f} | {now:,.2f} | {told}{unclear} |")
        if verdict is Verdict.BELOW:
            slow.append(f"{mode}: {scenario} {figure} {told}")
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
