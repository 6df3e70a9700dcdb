"""What functions did over time, and what events are about."""
