"""Has `seq5` become slower? `python -m bench.check` compares ratios to DBOS with recorded ones.

Machines differ and are shared, so only ratios count: the rate and the CPU of `seq5` against those
of DBOS on the same kind of database, measured in turns, the median of three. It takes under two
minutes. Fails (exit code 1) when a ratio is more than 15 % below the recorded one; while one is,
further turns are measured as long as there is time. `--record` writes what was measured to
`bench/ratios.json`.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .endpoint import FUNCTIONS
from .scenarios import SCENARIOS, SHORT, warm_up
from .server import MODES, Subject

RECORDED = Path(__file__).parent / "ratios.json"
ALLOWED = 0.15
_SECONDS = 50.0  # for each mode
_TURNS, _MOST_TURNS = 3, 7
_SIZE = replace(SHORT, seq5=150)
_DBOS_RUNS = 60
_KINDS = {"rate": "runs/s", "cpu": "runs for the same CPU"}
Ratios = dict[str, float]


def _turn(subject: Subject) -> Ratios:
    ours = SCENARIOS["seq5"](subject, _SIZE)
    theirs = subject.dbos(_DBOS_RUNS)
    # the CPU of the processes alone: PostgreSQL's is not split by who asked
    return {
        "rate": ours["runs_s"] / theirs["runs_s"],
        "cpu": theirs["cpu_ms_run"] / ours["cpu_ms_run"],
    }


def _middle(turns: list[Ratios]) -> Ratios:
    return {kind: median(turn[kind] for turn in turns) for kind in _KINDS}


def measure(mode: str, recorded: Ratios) -> tuple[Ratios, int]:
    """Measure in turns; return the medians and how many turns they are of."""
    with Subject(mode) as subject:
        subject.start(FUNCTIONS)
        warm_up(subject)
        return _turns(lambda: _turn(subject), recorded, time.monotonic)


def _turns(
    turn: Callable[[], Ratios], recorded: Ratios, clock: Callable[[], float]
) -> tuple[Ratios, int]:
    """Take turns: three, unless time is short; more, while a median is bad and there is time."""
    turns: list[Ratios] = []
    began = clock()
    while True:
        turns.append(turn())
        print(f"  {_worded(turns[-1])}", file=sys.stderr, flush=True)
        enough = len(turns) >= _TURNS and not slower(_middle(turns), recorded)
        used = clock() - began
        if enough or len(turns) == _MOST_TURNS or used * (1 + 1 / len(turns)) > _SECONDS:
            return _middle(turns), len(turns)


def slower(measured: Ratios, recorded: Ratios) -> list[str]:
    """Say which ratios are more than what is allowed below the recorded ones."""
    return [
        f"{_KINDS[kind]}: {measured[kind]:.2f} times DBOS, recorded {recorded[kind]:.2f}"
        f" ({measured[kind] / recorded[kind] - 1:+.0%})"
        for kind in _KINDS
        if kind in recorded and measured[kind] < recorded[kind] * (1 - ALLOWED)
    ]


def _worded(ratios: Ratios) -> str:
    return ", ".join(f"{ratios[kind]:.2f} times DBOS's {_KINDS[kind]}" for kind in _KINDS)


def main() -> int:
    """Measure, compare, and print the ratios last; 1 when one fell too far."""
    parser = argparse.ArgumentParser(prog="bench.check", description=__doc__)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument("--record", action="store_true", help="write the ratios down")
    given = parser.parse_args()
    modes = MODES if given.mode == "both" else (given.mode,)
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    found: dict[str, Ratios] = {}
    bad: list[str] = []
    for mode in modes:
        print(f"{mode}: seq5 and DBOS in turns", file=sys.stderr, flush=True)
        before = {} if given.record else recorded.get(mode, {})
        found[mode], turns = measure(mode, before)
        print(f"{mode}, median of {turns}: {_worded(found[mode])}")
        bad += [f"{mode}, {told}" for told in slower(found[mode], before)]
        if not before and not given.record:
            print(f"{mode}: nothing is recorded: run python -m bench.check --record")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if given.record:
        kept = recorded | _rounded(found) | {"how": _how()}
        RECORDED.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    for told in bad:
        print(f"SLOWER by more than {ALLOWED:.0%}: {told}")
    rates = ", ".join(f"{mode} {ratios['rate']:.2f}" for mode, ratios in found.items())
    print(f"seq5 to DBOS: {rates}")
    return 1 if bad else 0


def _rounded(found: dict[str, Ratios]) -> dict[str, Ratios]:
    return {
        mode: {kind: round(ratio, 2) for kind, ratio in ratios.items()}
        for mode, ratios in found.items()
    }


def _how() -> str:
    return (
        f"python -m bench.check --record, Python {platform.python_version()},"
        f" DBOS {version('dbos')}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
