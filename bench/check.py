"""Has `seq5` become slower? `python -m bench.check` compares it with DBOS, and that with before.

Machines differ, are shared, and change their speed within the hour, so only ratios count: the rate
of `seq5` to that of DBOS on the same kind of database, and DBOS's CPU a run to that of `seq5`. Both
are measured in pairs, one right after the other, in changing order. Each ratio has an interval (see
bench/pairs.py). Fails (exit code 1) only when all of one lies more than 15 % below what is recorded
in `bench/ratios.json`, and the machine was ours meanwhile; `--record` writes that file, from more
pairs. It takes about two minutes.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from . import neighbours
from .endpoint import FUNCTIONS
from .pairs import Interval, Pair, T, Verdict, in_turns, interval, least_pairs
from .scenarios import SCENARIOS, SHORT, Figures, warm_up
from .server import MODES, Subject

RECORDED = Path(__file__).parent / "ratios.json"
ALLOWED = 0.15
# odd numbers have a pair in the middle; a record counts for months
_PAIRS, _RECORD_PAIRS = 15, 45
_SECONDS = 50.0  # for each mode of a check
# about as long as each other. CPU is counted in hundredths of a second: these take sixty of them
_SIZE = replace(SHORT, seq5=300)
_DBOS_RUNS = 45
_KINDS = {"rate": "DBOS's runs/s", "cpu": "DBOS's runs for the same CPU"}
Intervals = dict[str, Interval]
Recorded = dict[str, float]


def ratios(pairs: list[tuple[Figures, Figures]]) -> Intervals:
    """Compare ours with theirs, the first of each pair with the second."""
    rates: list[Pair] = [(ours["runs_s"], theirs["runs_s"]) for ours, theirs in pairs]
    # the CPU of the processes alone: PostgreSQL's is not split by who asked
    cpu: list[Pair] = [(theirs["cpu_ms_run"], ours["cpu_ms_run"]) for ours, theirs in pairs]
    return {"rate": interval(rates), "cpu": interval(cpu)}


def measure(mode: str, pairs: int, seconds: float | None) -> tuple[Intervals, float]:
    """Measure pairs of `seq5` and DBOS; return the ratios, and others' share of the machine."""
    with Subject(mode) as subject, subject.dbos() as dbos:
        subject.start(FUNCTIONS)
        warm_up(subject)
        dbos.measure(_DBOS_RUNS)
        turns = in_turns(
            lambda: SCENARIOS["seq5"](subject, _SIZE), lambda: dbos.measure(_DBOS_RUNS)
        )
        before = neighbours.look(subject)
        found = ratios(taken(turns, pairs, seconds, time.monotonic))
        return found, neighbours.look(subject).share_of_others(before)


def taken(
    turns: Iterator[T], pairs: int, seconds: float | None, clock: Callable[[], float]
) -> list[T]:
    """Take so many pairs, fewer when time is short, enough for an interval in any case.

    What was found so far has no say in it: who goes on until they like the result finds it.
    """
    found: list[T] = []
    began = clock()
    for pair in islice(turns, pairs):
        found.append(pair)
        late = seconds is not None and clock() - began > seconds
        if late and len(found) >= least_pairs():
            break
    return found


def judge(measured: Intervals, recorded: Recorded, others: float = 0.0) -> dict[str, Verdict]:
    """Say where each ratio lies to the lowest that is allowed; nothing where none is recorded.

    All is unclear where others had a good part of the machine.
    """
    return {
        kind: found.against(recorded[kind] * (1 - ALLOWED))
        if others <= neighbours.MOST
        else Verdict.UNCLEAR
        for kind, found in measured.items()
        if kind in recorded
    }


_WORDS = {
    Verdict.AT_LEAST: "as fast as recorded",
    Verdict.UNCLEAR: "UNCLEAR: more pairs, or a quieter machine, would tell",
    Verdict.BELOW: f"SLOWER by more than {ALLOWED:.0%}",
}


def _told(
    mode: str, measured: Intervals, verdicts: dict[str, Verdict], recorded: Recorded
) -> list[str]:
    lines = []
    for kind, found in measured.items():
        line = f"{mode}, {found.pairs} pairs: {found} times {_KINDS[kind]}"
        if kind in verdicts:
            line += f", recorded {recorded[kind]:.2f}: {_WORDS[verdicts[kind]]}"
        lines.append(line)
    return lines


def main() -> int:
    """Measure, compare, and print the ratios last; 1 when one fell too far."""
    parser = argparse.ArgumentParser(prog="bench.check", description=__doc__)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument("--pairs", type=int, help="take this many, however long it takes")
    parser.add_argument("--record", action="store_true", help="write the ratios down")
    given = parser.parse_args()
    if given.pairs is not None and given.pairs < least_pairs():
        parser.error(f"--pairs: an interval needs {least_pairs()} at least")
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    pairs = given.pairs or (_RECORD_PAIRS if given.record else _PAIRS)
    seconds = None if given.pairs or given.record else _SECONDS
    found: dict[str, Intervals] = {}
    crowded = slower = False
    for mode in MODES if given.mode == "both" else (given.mode,):
        print(f"{mode}: seq5 and DBOS in turns", file=sys.stderr, flush=True)
        before = {} if given.record else recorded.get(mode, {})
        found[mode], others = measure(mode, pairs, seconds)
        verdicts = judge(found[mode], before, others)
        print(*_told(mode, found[mode], verdicts, before), sep="\n", flush=True)
        slower = slower or Verdict.BELOW in verdicts.values()
        if others > neighbours.MOST:
            crowded = True
            print(f"{mode}: others took {others:.0%} of the machine meanwhile: nothing is certain")
        if not before and not given.record:
            print(f"{mode}: nothing is recorded: run python -m bench.check --record")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if given.record and not crowded:
        kept = recorded | _rounded(found) | {"how": _how(pairs)}
        RECORDED.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    elif given.record:
        print("not recorded: a record needs a machine of its own")
    rates = ", ".join(f"{mode} {measured['rate']}" for mode, measured in found.items())
    print(f"seq5 to DBOS: {rates}")
    return 1 if slower or (given.record and crowded) else 0


def _rounded(found: dict[str, Intervals]) -> dict[str, dict[str, float | list[float]]]:
    """What is recorded: the ratios that later ones are compared with, and how sure they were."""
    return {
        mode: {kind: round(one.ratio, 2) for kind, one in measured.items()}
        | {
            f"{kind}_between": [round(one.low, 2), round(one.high, 2)]
            for kind, one in measured.items()
        }
        for mode, measured in found.items()
    }


def _how(pairs: int) -> str:
    return (
        f"python -m bench.check --record, {pairs} pairs, Python"
        f" {platform.python_version()}, DBOS {version('dbos')}, {os.cpu_count()} cores,"
        f" load average {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
