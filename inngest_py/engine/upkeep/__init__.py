"""Upkeep: what every worker does beside running items. One file a service.

A service is `run_once(ctx) -> bool` (whether a full batch was found, so that it runs again at
once) and an interval; `loop` is the one loop they all run in.
"""
