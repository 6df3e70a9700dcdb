"""Filters of lists of runs: which rows they choose, and by which index these are read."""
