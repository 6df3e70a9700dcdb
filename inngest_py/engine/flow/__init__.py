"""Flow control: one file a rule. Rules act in the transaction that stores the events.

Deadlock-free: after the pauses that events end, rules lock rows in the order batch buckets,
rate-limit buckets, debounces, singleton locks, run keys, and within a kind by key. Throttles lock
their buckets only while start items are claimed and by their timers. No rule locks a run's row.
"""
