"""A clock that can be moved, for dev servers and tests.

`virtual` is the clock, `moves` moves it moment by moment, `mover` does that in a dev server.
"""
