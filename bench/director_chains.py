"""celery-director's chains of five, in its own environment: `python director_chains.py`.

Reads a number of workflows a line, starts them all at once in process, waits until its database
says that they have succeeded, and answers with a line. Knows nothing of this package.
"""

import json
import sys
import time

_POLL_SECONDS = 0.02


def main() -> None:
    """Answer each line with workflows/s, until there are no more."""
    from director import create_app
    from director.builder import WorkflowBuilder
    from director.extensions import db
    from director.models import StatusType
    from director.models.workflows import Workflow

    def left() -> int:
        db.session.rollback()  # what others have written since
        failed = Workflow.query.filter_by(status=StatusType.error).count()
        assert not failed, f"{failed} workflows have failed"
        open_ = (StatusType.pending, StatusType.progress)
        return Workflow.query.filter(Workflow.status.in_(open_)).count()

    with create_app().app_context():
        print("ready", flush=True)
        for line in sys.stdin:
            count = int(line)
            began = time.perf_counter()
            for _ in range(count):
                made = Workflow(project="bench", name="CHAIN", payload={})
                made.save()
                WorkflowBuilder(made.id).run()
            while left():
                time.sleep(_POLL_SECONDS)
            found = {"chains_s": count / (time.perf_counter() - began)}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
