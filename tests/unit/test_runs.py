"""The allowed moves between statuses of runs."""

from itertools import product

import pytest

from inngest_py.domain.runs.runs import ENDED, LIVE, MOVES, RunStatus, sources


def test_every_status_is_in_the_table_and_either_live_or_ended() -> None:
    assert set(MOVES) == set(RunStatus)
    assert set(RunStatus) == LIVE | ENDED
    assert not LIVE & ENDED


@pytest.mark.parametrize(("source", "target"), list(product(RunStatus, RunStatus)))
def test_sources_is_the_table_read_backwards(source: RunStatus, target: RunStatus) -> None:
    assert (source in sources(target)) == (target in MOVES[source])


def test_no_move_leads_back_or_leaves_an_end() -> None:
    assert not sources(RunStatus.QUEUED)
    for ended in ENDED:
        assert not MOVES[ended]
