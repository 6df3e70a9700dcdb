"""Rows and SQL. Functions here take a connection and values, and decide no policy.

Each room imports only rooms that stand before it: `db`, `catalog`, `events`, `flow`, `runs`,
`queue`, `operations`, `queries`, `schema`.
"""
