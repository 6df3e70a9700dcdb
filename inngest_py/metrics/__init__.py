"""Metrics for Prometheus: counters of this process, and figures of the database.

Calls, steps and ended runs are counted in the process in which they happen, by listeners of
`observe`. The depth and age of queues, live runs and workers are read from the database when
Prometheus asks. So no figure can become wrong over time, and nothing is written for metrics.
"""
