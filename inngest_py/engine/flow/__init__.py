"""Flow control: one file per rule. Rules act in the transaction that stores the events.

Free of deadlocks: after the waits that events end, rules lock rows in this order: batch buckets,
rate-limit buckets, debounces, singleton locks, run keys; rows of one kind by key. Throttles lock
their buckets only in claims of start items and in their timers. No rule locks a run's row.
"""
