"""Metrics for Prometheus: counters of this process, and figures of the database.

What happens (calls, steps, ended runs) is counted where it happens, in the process, by subscribers
of `observe`. What is (depth, age, live runs, workers) is read from the database when it is asked
for. So nothing drifts, and nothing is written for metrics.
"""
