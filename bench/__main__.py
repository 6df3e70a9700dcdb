"""`python -m bench`: measure the server in either mode, print JSON and a table."""

import argparse
import json
import os
import sys

from .connected import PREFIX
from .endpoint import FUNCTIONS
from .figures import Results, medians, ratio, table
from .scenarios import SCENARIOS, SHORT, Figures, Size, warm_up
from .server import MODES, WORKERS, Subject


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both")
    parser.add_argument(
        "--scenario", action="append", choices=list(SCENARIOS), help="repeatable; default: all"
    )
    parser.add_argument("--runs", type=int, help="runs of every burst")
    parser.add_argument("--repeat", type=int, default=1, help="medians of so many")
    parser.add_argument("--short", action="store_true", help="small bursts")
    parser.add_argument("--workers", type=int, default=WORKERS, help="of the distributed mode")
    return parser.parse_args()


def _once(mode: str, workers: int, names: list[str], size: Size) -> dict[str, Figures]:
    """Measure on a fresh server and a fresh database.

    What is over Connect has a server of its own: beside another app it would get a part of the
    calls in flight only, and the other app, measured before, all of them.
    """
    measured: dict[str, Figures] = {}
    for connected in (False, True):
        mine = [name for name in names if name.startswith(PREFIX) == connected]
        if not mine:
            continue
        with Subject(mode, workers=workers) as subject:
            subject.start(() if connected else FUNCTIONS)
            if connected:
                subject.app.connect(subject.server.url, 1)
            warm_up(subject, PREFIX if connected else "")
            for name in mine:
                print(f"{mode}: {name} …", file=sys.stderr, flush=True)
                measured[name] = SCENARIOS[name](subject, size)
    return measured


def main() -> None:
    """Measure what the arguments say."""
    given = _arguments()
    size = SHORT if given.short else Size()
    if given.runs is not None:
        size = size.scaled(given.runs)
    names = [name for name in SCENARIOS if given.scenario is None or name in given.scenario]
    modes = MODES if given.mode == "both" else (given.mode,)
    results: Results = {
        mode: medians([_once(mode, given.workers, names, size) for _ in range(given.repeat)])
        for mode in modes
    }
    ratios = {mode: ratio(measured) for mode, measured in results.items()}
    shown = {"results": results, "seq5_to_dbos": ratios, "repeat": given.repeat}
    # the last minute's load: above the number of cores, others were measured as well
    shown |= {"cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    print(json.dumps(shown, indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
