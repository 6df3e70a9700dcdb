"""The replay check: which steps of a run new code would move, judged without running a step."""
