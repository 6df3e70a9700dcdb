"""Connected workers: the sync of their apps, and what they say of calls that nobody waits for."""
