"""Medians of repeats, and the table."""

from collections.abc import Callable
from statistics import median

from .scenarios import Figures

Results = dict[str, dict[str, Figures]]
_COLUMNS = (
    ("runs/s", "runs_s", 0),
    ("calls/s", "calls_s", 0),
    ("first p50", "first_p50_ms", 1),
    ("p95", "first_p95_ms", 1),
    ("p99", "first_p99_ms", 1),
    ("finished p50", "finished_p50_ms", 1),
    ("p95", "finished_p95_ms", 1),
    ("p99", "finished_p99_ms", 1),
    ("CPU ms/run", "cpu_ms_run", 2),
    ("store CPU", "store_cpu_ms_run", 2),
    ("peak MB", "peak_mb", 0),
    ("bytes/run", "database_bytes_run", 0),
)


def medians(repeats: list[dict[str, Figures]]) -> dict[str, Figures]:
    """Take the median of every figure over the repeats."""
    return {
        scenario: {name: median(repeat[scenario][name] for repeat in repeats) for name in figures}
        for scenario, figures in repeats[0].items()
    }


def ratio(measured: dict[str, Figures]) -> float | None:
    """Say how many times DBOS's rate of the same run `seq5` reached."""
    if "seq5" not in measured or "dbos_seq5" not in measured:
        return None
    return measured["seq5"]["runs_s"] / measured["dbos_seq5"]["runs_s"]


def table(results: Results) -> str:
    """Write the figures for people."""
    lines = []
    for mode, measured in results.items():
        lines += [f"== {mode}", _row([""] + [title for title, _, _ in _COLUMNS])]
        for scenario, figures in measured.items():
            if "runs_s" in figures:
                cells = [
                    f"{figures[name]:.{digits}f}" if name in figures else "-"
                    for _, name, digits in _COLUMNS
                ]
                lines.append(_row([scenario, *cells]))
        lines += _notes(measured)
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"{cells[0]:<14}" + "".join(f"{cell:>13}" for cell in cells[1:])


def _notes(measured: dict[str, Figures]) -> list[str]:
    notes = [note for name in _WORDED if name in measured for note in _WORDED[name](measured[name])]
    for name in ("debounce", "batch"):
        if name in measured:
            notes.append(f"{name}: {_gathered(measured[name])}")
    for name in ("noop", "seq5", "par10"):
        if name in measured and (other := f"connect-{name}") in measured:
            times = measured[other]["runs_s"] / measured[name]["runs_s"]
            notes.append(f"{name} over connect: {times:.2f} times the rate over HTTP")
    if (times := ratio(measured)) is not None:
        notes.append(f"seq5 against DBOS in the same run: {times:.2f} times")
    return notes


def _accepted(accept: Figures) -> list[str]:
    return [
        f"events accepted/s, {when}: {accept[f'{prefix}single_events_s']:.0f} singly,"
        f" {accept[f'{prefix}batch_events_s']:.0f} in batches of 100"
        for prefix, when in (("later_", "runs due later"), ("", "runs working"))
    ]


def _gathered(gathered: Figures) -> str:
    return (
        f"{gathered['gathered']:.0f} events into {gathered['gathered_runs']:.0f}"
        f" runs, {gathered['gathered_events_s']:.0f} events/s accepted, all done after"
        f" {gathered['seconds']:.1f} s, {gathered['cpu_ms_event']:.3f} ms CPU an event"
        f" + {gathered['store_cpu_ms_event']:.3f} of the store,"
        f" {gathered['bytes_event']:.0f} bytes an event"
    )


def _checkpointed(steps: Figures) -> list[str]:
    return [
        f"checkpointed steps/s: {steps['checkpoints_s']:.0f}, at"
        f" {steps['cpu_ms_checkpoint']:.2f} ms CPU a call"
        f" + {steps['store_cpu_ms_checkpoint']:.2f} of the store; p50"
        f" {steps['checkpoint_p50_ms']:.1f} ms, p99 {steps['checkpoint_p99_ms']:.1f} ms"
    ]


def _slept(sleep: Figures) -> list[str]:
    return [
        f"sleepers late: p50 {sleep['late_p50_ms']:.0f} ms, p95 {sleep['late_p95_ms']:.0f} ms,"
        f" p99 {sleep['late_p99_ms']:.0f} ms"
    ]


def _waited(waiters: Figures) -> list[str]:
    return [
        f"among {waiters[f'{name}_waiting']:.0f} waiters, event to call:"
        f" p50 {waiters[f'{name}_first_p50_ms']:.0f} ms,"
        f" p99 {waiters[f'{name}_first_p99_ms']:.0f} ms,"
        f" {waiters[f'{name}_cpu_ms_run']:.1f} ms CPU an event"
        for name in ("few", "many", "few_again")
    ]


def _fair(fair: Figures) -> list[str]:
    return [
        f"first call of another tenant, {fair['backlog_left']:.0f} runs of one still waiting:"
        f" p50 {fair['other_p50_ms']:.0f} ms, p99 {fair['other_p99_ms']:.0f} ms"
    ]


def _idle(idle: Figures) -> list[str]:
    return [
        f"idle: {idle['cpu_percent']:.2f} % of a core, {idle['largest_process_mb']:.0f} MB"
        f" (all {idle['processes']:.0f} processes: {idle['all_processes_mb']:.0f} MB);"
        f" started in {idle['start_seconds']:.1f} s"
    ]


def _connected(connected: Figures) -> list[str]:
    return [
        f"{connected['workers']:.0f} idle connected workers: {connected['more_mb']:.0f} MB and"
        f" {connected['more_cpu_percent']:.1f} % of a core more"
    ]


def _python(figures: Figures) -> list[str]:
    lines = []
    for framework in ("fastapi", "flask"):
        plain = figures[f"{framework}_plain_runs_s"]
        lines.append(f"Python SDK, {framework}: seq5 {plain:.0f} runs/s without checkpointing")
        for way in ("sent", "buffered"):
            seen = {name: figures[f"{framework}_{way}_{name}"] for name in _PYTHON}
            lines.append(
                f"  {way}: {seen['runs_s']:.0f} runs/s ({seen['runs_s'] / plain:.1f} times),"
                f" step to step p50 {seen['step_p50_ms']:.2f} ms,"
                f" one run of {figures[f'{framework}_long_steps']:.0f} steps:"
                f" {seen['long_steps_s']:.0f} steps/s"
            )
    return lines


_PYTHON = ("runs_s", "step_p50_ms", "long_steps_s")
_WORDED: dict[str, Callable[[Figures], list[str]]] = {
    "accept": _accepted,
    "checkpoint": _checkpointed,
    "sleep": _slept,
    "waiters": _waited,
    "fair": _fair,
    "idle": _idle,
    "connected": _connected,
    "python-seq5": _python,
}
