"""Services that keep roll-ups of ended runs."""
