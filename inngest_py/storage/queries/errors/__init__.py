"""Error groups, and the runs that belong to them."""
