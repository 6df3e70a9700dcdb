"""Rows and SQL: takes a connection and values, decides no policy.

Each room imports only rooms that stand before it: `db`, `catalog`, `events`, `flow`, `runs`,
`queue`, `operations`, `queries`, `schema`.
"""
