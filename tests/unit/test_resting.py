"""Idle connections whose messages are waited for together."""

import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from inngest_py.api.gateway.resting import Resting


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def _resting() -> Resting:
    made = Resting(few=0)
    made.connections = 1
    return made


def test_it_ends_when_something_has_come(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    resting = _resting()
    for _ in range(2):
        gevent.spawn(far.send, b"x")
        assert resting.wait(near.fileno(), 30)
        assert near.recv(10) == b"x"
    gevent.spawn(far.close)
    assert resting.wait(near.fileno(), 30)
    assert near.recv(10) == b""


def test_it_ends_after_its_time(ends: tuple[socket.socket, socket.socket]) -> None:
    assert not _resting().wait(ends[0].fileno(), 0.01)


def test_it_ends_when_woken(ends: tuple[socket.socket, socket.socket]) -> None:
    resting, fileno = _resting(), ends[0].fileno()
    woken = gevent.spawn(resting.wake, fileno)
    assert resting.wait(fileno, 30)
    assert woken.get()
    assert not resting.wake(fileno)


def test_many_end_together() -> None:
    """The first one that is readable waits for the others."""
    pairs = [socket.socketpair() for _ in range(20)]
    resting = _resting()
    waiting = [gevent.spawn(resting.wait, near.fileno(), 30) for near, _ in pairs]
    for number, (_, far) in enumerate(pairs):
        gevent.spawn_later(number / 1000, far.send, b"x")
    ended = []
    for one in waiting:
        one.link(lambda _: ended.append(time.monotonic()))
    gevent.joinall(waiting, raise_error=True)
    gevent.idle()
    assert len(ended) == 20
    assert max(ended) - min(ended) < 0.05
    for near, far in pairs:
        near.close()
        far.close()


def test_few_connections_do_not_rest(ends: tuple[socket.socket, socket.socket]) -> None:
    resting = Resting(few=1)
    resting.connections = 1
    assert resting.wait(ends[0].fileno(), 30)
