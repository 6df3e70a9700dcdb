"""Upkeep: what every worker does beside running items. One file per service.

A service is an interval and `run_once(ctx) -> bool`, which returns whether it found a full batch
and should run again at once. `loop` runs all services.
"""
