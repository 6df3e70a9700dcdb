"""`python -m bench.python_long`: apps of the real Python SDK for minutes, to see what grows.

A steady rate of `seq5` runs, without checkpointing, with each step sent and with buffers, on
FastAPI and on Flask at the same time. It prints a line for each sample.
"""

import argparse
import sys
import time
from contextlib import ExitStack

import psutil

from .python_app import APP, WAYS
from .python_sdk import FRAMEWORKS, served
from .server import MODES, Subject, fetch

Sample = dict[str, float]
_SAMPLE_SECONDS = 30.0
_LAST_SECONDS = 60.0


def sample(subject: Subject, apps: dict[str, tuple[str, int]]) -> Sample:
    """See what the processes hold; forget the runs that have ended, which the apps count."""
    found: Sample = {"server_mb": sum(subject.memory_mb()), "largest_mb": subject.memory_mb()[0]}
    found["server_sockets"] = _sockets(subject.processes())
    found["database_connections"] = subject.database_connections()
    for name, (url, pid) in apps.items():
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
        found[f"{name}_mb"] = sum(one.memory_info().rss for one in processes) / 1e6
        found[f"{name}_sockets"] = _sockets(processes)
        found |= {f"{name}_{held}": value for held, value in fetch(f"{url}/held").items()}
        found[f"{name}_ended"] = fetch(f"{url}/reset")["finished"]
    return found


def _sockets(processes: list[psutil.Process]) -> float:
    return sum(len(one.net_connections("tcp")) for one in processes)


def _watch(subject: Subject, minutes: float, rate: int) -> None:
    with ExitStack() as stack:
        apps = {
            name: stack.enter_context(served(subject, name, {"BENCH_APP": f"{APP}-{name}"}))
            for name in FRAMEWORKS
        }
        sent, began = 0, time.monotonic()
        next_at = began + _SAMPLE_SECONDS
        ended = dict.fromkeys(apps, 0.0)
        while time.monotonic() < began + minutes * 60:
            events = [
                {"name": f"bench/python-{way}", "data": {"i": number}}
                for number in range(rate)
                for way in WAYS
            ]
            fetch(f"{subject.server.url}/e/bench", events)
            sent += len(events)
            if time.monotonic() >= next_at:
                next_at += _SAMPLE_SECONDS
                _show(time.monotonic() - began, sent, sample(subject, apps), ended)
            time.sleep(max(0.0, began + sent / (rate * len(WAYS)) - time.monotonic()))
        until = time.monotonic() + _LAST_SECONDS
        while min(ended.values()) < sent and time.monotonic() < until:
            time.sleep(2.0)
            _show(time.monotonic() - began, sent, sample(subject, apps), ended)


def _show(seconds: float, sent: int, found: Sample, ended: dict[str, float]) -> None:
    for name, before in ended.items():
        ended[name] = found[f"{name}_runs"] = before + found.pop(f"{name}_ended")
    shown = " ".join(f"{name}={value:.0f}" for name, value in found.items())
    print(f"{seconds:.0f} s, {sent} events: {shown}", flush=True)


def main() -> None:
    """Run as long as the arguments say."""
    parser = argparse.ArgumentParser(prog="bench.python_long", description=__doc__)
    parser.add_argument("--mode", choices=MODES, default="distributed")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=int, default=5, help="runs a second of each way and app")
    given = parser.parse_args()
    with Subject(given.mode) as subject:
        subject.start(())
        print(f"{given.mode}, {sys.version.split()[0]}", flush=True)
        _watch(subject, given.minutes, given.rate)


if __name__ == "__main__":
    main()
