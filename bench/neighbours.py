"""How much of the machine went to others while something was measured.

A ratio to DBOS does not stand a crowd: `seq5` takes several processes and DBOS takes one, so the
two lose differently. Where others had more than a little, no verdict is given.
"""

from dataclasses import dataclass

import psutil

from .server import Subject, cpu

# what an idle machine does beside us, its kernel's threads included, is a few hundredths
MOST = 0.15


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds so far: of all there is, used by anybody, and used by us."""

    capacity: float
    busy: float
    own: float

    def share_of_others(self, before: "Used") -> float:
        """Say which share of the machine others had since: 0 for none, 1 for all of it."""
        capacity = self.capacity - before.capacity
        others = (self.busy - before.busy) - (self.own - before.own)
        return max(0.0, others / capacity) if capacity > 0 else 0.0


def look(*subjects: Subject) -> Used:
    """Count what was used up to now; what the host took (steal) went to others."""
    times = psutil.cpu_times()._asdict()
    free = times["idle"] + times.get("iowait", 0.0)
    # guests' time is within user's
    busy = sum(
        times.get(name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal")
    )
    me = psutil.Process()
    own = sum(cpu(process) for process in (me, *me.children(recursive=True)))
    own += sum(subject.store_cpu_seconds() for subject in subjects)  # PostgreSQL is nobody's child
    return Used(busy + free, busy, own)
