"""Flow control: buckets, parked events, event batches and singleton locks."""
