"""Services that keep roll-ups of runs."""
