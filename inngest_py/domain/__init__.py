"""Rules without I/O, clock, randomness or framework: same input, same answer.

Each room imports only rooms that stand before it: `values`, `access`, `cel`, `canvas`, `functions`,
`flow`, `runs`, `events`, `steps`, `reply`, `reports`. `errors` and `limits` stand below all.
"""
