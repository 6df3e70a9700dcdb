"""Fairness among apps: how they share the calls that a process may have in flight.

An app that hangs keeps every slot that its calls get. So each app, known by the host of its
endpoint, has a part of the slots that no other app can take: half of the slots are divided among
all apps, the other half is for any app. A job that finds no room gives back its lease and joins
its host's waiting line, in the state `waiting`. When the host has room again, upkeep lets in the
next. With one host there is nothing to share, and no job waits.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from ...domain.values.urls import is_connect
from .catalog import Function

LINE_PREFIX = "app:"
# begins the place of an app that is called over its workers' connections; its id follows
CONNECTED = "connect:"
# A claim that has not been committed after this time never will be.
_RESERVED_SECONDS = 10.0


def host_of(url: str) -> str:
    """Name the host that a function is called at."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def place_of(function: Function) -> str:
    """Name what a function's calls share: their host, or the app whose workers are connected."""
    if is_connect(function.url):
        return CONNECTED + function.app_id
    return host_of(function.url)


class Fairness:
    """Counts the jobs in flight of one process, by host.

    `capacity` says how many calls the workers of an app that are connected here take.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.capacity: Callable[[str], int] = lambda app_id: 0
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._held: Counter[str] = Counter()
        # claimed in transactions that are not committed yet, by lease
        self._reserved: dict[str, tuple[float, Counter[str]]] = {}
        self._lined: frozenset[str] = frozenset()
        self._room = threading.Event()

    @property
    def waiting_hosts(self) -> list[str]:
        """The hosts that have a waiting line, as far as this process knows."""
        return sorted(self._lined)

    def set_hosts(self, hosts: Iterable[str]) -> None:
        """Set which hosts there are; a host that is not among them counts as one more."""
        self._known = frozenset(hosts)

    def note_line(self, host: str) -> None:
        """Note that a host has a waiting line."""
        with self._lock:
            self._lined |= {host}

    def look_again(self, app_id: str) -> None:
        """Have the waiting line of a connected app looked at now: it may have room."""
        self.note_line(CONNECTED + app_id)
        self._room.set()

    def note_no_line(self, host: str) -> None:
        """Note that a host's waiting line was found empty."""
        with self._lock:
            self._lined -= {host}

    def admit(self, lease_id: str, hosts: Sequence[str]) -> list[bool]:
        """Say for each job of a lease, in order, whether there is room for it.

        The room is reserved for some seconds; hold() takes it once the claim is committed.
        """
        shared = self._slots > 1 and len(self._known.union(hosts)) > 1
        if not shared and not any(host.startswith(CONNECTED) for host in hosts):
            return [True] * len(hosts)
        with self._lock:
            self._forget()
            taken = self._taken()
            answers = []
            mine: Counter[str] = Counter()
            for host in hosts:
                fits = self._room_for(host, taken) > 0
                answers.append(fits)
                if fits:
                    taken[host] += 1
                    mine[host] += 1
            self._reserved[lease_id] = (time.monotonic() + _RESERVED_SECONDS, mine)
            self._lined |= {host for host, fits in zip(hosts, answers, strict=True) if not fits}
        return answers

    def room(self, host: str) -> int:
        """Say how many more jobs a host may have in flight now."""
        with self._lock:
            self._forget()
            return max(0, self._room_for(host, self._taken()))

    def hold(self, lease_id: str, host: str) -> None:
        """Count a job that has been claimed."""
        with self._lock:
            reserved = self._reserved.get(lease_id)
            if reserved is not None:
                reserved[1][host] -= 1
                if reserved[1].total() <= 0:
                    del self._reserved[lease_id]
            self._held[host] += 1

    def drop(self, host: str) -> None:
        """Stop counting a job that has ended."""
        with self._lock:
            self._held[host] -= 1
            if self._held[host] <= 0:
                del self._held[host]
        if self._lined:
            self._room.set()

    def wait(self, seconds: float) -> bool:
        """Wait until a job ends while hosts have waiting lines; say whether one has ended."""
        ended = self._room.wait(seconds)
        self._room.clear()
        return ended

    def _taken(self) -> Counter[str]:
        taken = self._held.copy()
        for _, mine in self._reserved.values():
            taken.update(mine)
        return taken

    def _room_for(self, host: str, taken: Counter[str]) -> int:
        if not host.startswith(CONNECTED):
            return self._shared_room(host, taken)
        room = self.capacity(host.removeprefix(CONNECTED)) - taken[host]
        return min(room, self._shared_room(host, taken)) if room > 0 else 0

    def _shared_room(self, host: str, taken: Counter[str]) -> int:
        """Say how many slots are free for a host when the others' own parts are kept."""
        hosts = self._known.union(taken, [host])
        if len(hosts) < 2:
            return self._slots - taken.total()
        own = self._slots // (2 * len(hosts)) or int(self._slots > len(hosts))
        kept = sum(max(0, own - taken[other]) for other in hosts if other != host)
        # with fewer slots than hosts no host has a part of its own: keep one slot for the others
        kept = kept or int(own == 0 and taken.total() == taken[host])
        return max(self._slots - taken.total() - kept, own - taken[host])

    def _forget(self) -> None:
        """Forget claims that failed."""
        now = time.monotonic()
        late = [lease for lease, (until, _) in self._reserved.items() if until < now]
        for lease in late:
            del self._reserved[lease]
