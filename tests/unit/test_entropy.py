"""The random bytes of ids are nobody else's, in any thread and process."""

import os
import threading

import pytest

from inngest_py.engine.runtime.entropy import ENTROPY_BYTES, entropy

COUNT = 250  # more than are read at once


def test_threads_never_get_the_same():
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.extend(entropy() for _ in range(COUNT)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert {len(one) for one in found} == {ENTROPY_BYTES}
    assert len(set(found)) == len(found) == 4 * COUNT


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_gets_others_than_its_parent():
    entropy()  # some are left for the child to find
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b"".join(entropy() for _ in range(COUNT)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        read = pipe.read()
    os.waitpid(child, 0)
    its = {read[start : start + ENTROPY_BYTES] for start in range(0, len(read), ENTROPY_BYTES)}
    assert len(its) == COUNT
    assert its.isdisjoint(entropy() for _ in range(COUNT))
