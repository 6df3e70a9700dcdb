"""Flow control: the buckets, parked events, batches and locks of its rules."""
