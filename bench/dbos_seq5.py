"""DBOS's five steps one after another, in process: `python -m bench.dbos_seq5 URL`.

Reads a number of runs a line, starts them all at once, waits for them, and answers with a line.
"""

import json
import os
import sys
import time


def main() -> None:
    """Answer each line with runs/s and CPU a run, until there are no more."""
    from dbos import DBOS

    DBOS(
        config={
            "name": "bench",
            "system_database_url": sys.argv[1],
            "log_level": "ERROR",
            "run_admin_server": False,
        }
    )

    @DBOS.step()
    def step(number: int) -> dict[str, int]:
        return {"n": number}

    @DBOS.workflow()
    def seq5(index: int) -> dict[str, int]:
        for number in range(5):
            step(number)
        return {"i": index}

    DBOS.launch()
    seq5(-1)
    for line in sys.stdin:
        runs = int(line)
        cpu = time.process_time()
        began = time.perf_counter()
        handles = [DBOS.start_workflow(seq5, index) for index in range(runs)]
        for handle in handles:
            handle.get_result()
        seconds = time.perf_counter() - began
        cpu = time.process_time() - cpu
        print(json.dumps({"runs_s": runs / seconds, "cpu_ms_run": cpu * 1000 / runs}), flush=True)
    # DBOS's threads poll on: there is nothing to wait for
    os._exit(0)


if __name__ == "__main__":
    main()
