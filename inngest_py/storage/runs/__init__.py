"""Runs, and what belongs to each: steps, attempts, metadata, deferred functions."""
