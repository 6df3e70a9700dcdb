"""Events come in: they start runs, end waits, and ask for runs to be cancelled."""
