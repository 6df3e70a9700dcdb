"""The ports of the tests' servers."""

import itertools
import socket
from pathlib import Path

import pytest

from tests import processes
from tests.processes import LOOPBACK, free_port

_CLIENTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not _CLIENTS.exists(), reason="Linux says which ports its clients have")
def test_a_port_is_none_that_the_kernel_gives_to_clients() -> None:
    first, last = map(int, _CLIENTS.read_text().split())
    assert not any(first <= free_port() <= last for _ in range(20))


def test_a_port_is_not_given_again() -> None:
    given = [free_port() for _ in range(20)]
    assert len(set(given)) == len(given)


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, port := free_port()))
        again = itertools.count(processes._PORTS.index(port))
        monkeypatch.setattr(processes, "_numbers", again)
        assert free_port() > port
