"""Fairness: an app that hangs leaves the other apps their share of the calls in flight."""

from collections.abc import Iterator
from itertools import count

import pytest

from inngest_py.engine.runtime import app_fairness
from inngest_py.engine.runtime.app_fairness import Fairness, host_of

APPS = [f"app{n}:1" for n in range(10)]
_leases = count()


def crowd(share: Fairness, host: str, jobs: int) -> int:
    """Claim and hold jobs of a host; return how many it was given."""
    lease = f"lease{next(_leases)}"
    given = sum(share.admit(lease, [host] * jobs))
    for _ in range(given):
        share.hold(lease, host)
    return given


@pytest.mark.parametrize(
    ("slots", "hosts", "most", "left"),
    [
        (100, 1, 100, 0),
        (100, 2, 75, 25),
        (100, 10, 55, 5),
        (20, 10, 11, 1),
        (12, 10, 3, 1),
        (4, 10, 3, 1),
        (2, 2, 1, 1),
        (1, 2, 1, 0),
        (0, 2, 1000, 1000),
    ],
)
def test_an_app_that_hangs_leaves_calls_for_another(
    slots: int, hosts: int, most: int, left: int
) -> None:
    share = Fairness(slots)
    share.set_hosts(APPS[:hosts])
    assert crowd(share, APPS[0], 1000) == (1000 if slots < 2 or hosts < 2 else most)
    if hosts > 1:
        assert crowd(share, APPS[1], left) == left


def test_every_app_keeps_its_share_when_all_others_hang() -> None:
    share = Fairness(100)
    share.set_hosts(APPS)
    assert sum(crowd(share, host, 1000) for host in APPS[:9]) == 95
    assert crowd(share, APPS[9], 1000) == 5
    for _ in range(5):
        share.drop(APPS[9])
    assert crowd(share, APPS[0], 1000) == 0
    assert crowd(share, APPS[9], 1000) == 5


def test_an_app_that_is_not_known_yet_has_a_share() -> None:
    share = Fairness(8)
    share.set_hosts(APPS[:1])
    assert crowd(share, APPS[0], 6) == 6
    assert crowd(share, "new:1", 6) == 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [0.0]
    monkeypatch.setattr(app_fairness.time, "monotonic", lambda: now[0])
    yield now


def test_calls_are_kept_until_a_claim_is_committed_or_has_failed(clock: list[float]) -> None:
    share = Fairness(8)
    share.set_hosts(APPS[:2])
    assert share.admit("a", [APPS[0]] * 9) == [True] * 6 + [False] * 3
    assert share.admit("b", [APPS[0]]) == [False]
    assert share.room(APPS[0]) == 0
    clock[0] = 11
    assert share.room(APPS[0]) == 6
    assert share.waiting_hosts == [APPS[0]]
    share.note_no_line(APPS[0])
    assert share.waiting_hosts == []


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://localhost:3000/api/inngest?fnId=a", "localhost:3000"),
        ("https://User:Pass@Shop.example/x", "shop.example"),
        ("nonsense", ""),
    ],
)
def test_hosts(url: str, host: str) -> None:
    assert host_of(url) == host
