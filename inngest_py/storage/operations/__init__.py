"""Rows of what operators and upkeep do: prune, rerun, cancel in bulk, alert, log in."""
