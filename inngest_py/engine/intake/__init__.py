"""Events come in: they start runs, end waits, and cancel runs."""
