"""What a process needs to run items: its context, and what the context holds.

The catalogue of functions, group commit, hints to workers, signed requests, fairness among apps.
"""
