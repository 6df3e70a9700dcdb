"""Run by test_commit_kills.py in a process with gevent: greenlets that are killed in commits."""

from gevent import monkey

monkey.patch_all()

import random  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from sqlalchemy import Connection, text  # noqa: E402

from inngest_py.engine.runtime.group_commit import Committer  # noqa: E402
from inngest_py.storage.catalog.functions import Meta  # noqa: E402
from inngest_py.storage.db.session import Database, insert  # noqa: E402

ROUNDS, WRITERS = 40, 12


def write_all(tx: Connection, keys: Sequence[str]) -> Sequence[str]:
    for key in keys:
        # a leader that is killed at its COMMIT may have written all: they are written again, which
        # leases make harmless elsewhere
        tx.execute(insert(tx, Meta).values(key=key, value=1).on_conflict_do_nothing())
        gevent.sleep(0)  # so that kills meet every place
    return keys


def main(url: str) -> None:
    """Kill writers at random moments; every other writer must end, and no commit may hang."""
    db = Database(url, synchronous="OFF")
    committer = Committer(db)
    chance = random.Random(7)
    done: set[str] = set()

    def writer(key: str) -> None:
        done.add(committer.run(key, write_all, key))

    killed: set[str] = set()
    for number in range(ROUNDS):
        names = [f"{number}-{n}" for n in range(WRITERS)]
        writers: dict[str, Any] = {name: gevent.spawn(writer, name) for name in names}
        for victim in chance.sample(names, WRITERS // 3):
            gevent.sleep(chance.choice((0, 0, 0.0005, 0.001, 0.003)))
            if not writers[victim].ready():
                killed.add(victim)
            writers[victim].kill(block=False)
        gevent.joinall(list(writers.values()), timeout=20)
        stuck = [name for name, greenlet in writers.items() if not greenlet.ready()]
        assert not stuck, f"round {number}: {stuck} never end"
        lost = {name for name in names if name not in killed and name not in done}
        assert not lost, f"round {number}: {lost} failed"
    with db.reading() as tx:
        stored = {row.key for row in tx.execute(text("SELECT key FROM meta"))}
    assert done <= stored, done - stored
    assert killed, "nobody was killed"
    print(f"killed {len(killed)}, done {len(done)}")


if __name__ == "__main__":
    main(sys.argv[1])
