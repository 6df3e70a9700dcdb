"""Claim, call, plan, write: the one layer that joins storage and transport.

Each room imports only rooms that stand before it: `transport`, `runtime`, `flow`, `intake`,
`apps`, `work`, `admin`, `upkeep`.
"""
